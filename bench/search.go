package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/queries"
)

func searchCommand() *cobra.Command {
	o := queries.SearchOptions{}
	cmd := &cobra.Command{
		Use:   "search",
		Short: "Time ranges, pages, sorting, LIKE and INSERT over sealed columns against plain twins",
		Long: `Times searches by order and by terms beside those of a plain table with the same rows and the index
that a user would have, as queries does: in short blocks, in a new random order in every
round. Each way first has to read the rows that the plain one reads.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const steps = 1000
			progress := bar(os.Stderr, steps, "search")
			outcome, err := queries.Search(cmd.Context(), o, func(done float64) { _ = progress.Set(int(done * steps)) })
			_ = progress.Finish()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if _, err := fmt.Fprintf(w, "%s, on %s, %d rows%s\n", machine(), outcome.Server, o.Rows, load()); err != nil {
				return err
			}
			for _, t := range outcome.Tables() {
				if err := t.Print(w); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DSN, "dsn", "", "address of a PostgreSQL server; without it a container is started")
	f.IntVar(&o.Rows, "rows", 200_000, "rows of each table")
	f.IntVar(&o.Rounds, "rounds", 60, "blocks of each way")
	f.DurationVar(&o.Block, "block", 50*time.Millisecond, "length of a block")
	f.DurationVar(&o.Limit, "limit", 25*time.Second, "no further rounds of a case after this time")
	f.StringVar(&o.Only, "only", "", "only the cases whose name holds this text")
	return cmd
}

// load says how busy the machine is, where it tells.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	var one, five string
	if _, err := fmt.Sscan(string(text), &one, &five); err != nil {
		return ""
	}
	return fmt.Sprintf(", load of the machine %s in the last minute and %s in the last five", one, five)
}
