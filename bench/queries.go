package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/queries"
)

func queriesCommand(out *output) *cobra.Command {
	o := queries.Options{}
	cmd := &cobra.Command{
		Use:   "queries",
		Short: "SELECT and INSERT, against plain pgx and pgcrypto",
		Long: `Runs the same statements through plain pgx, through Colseal and with pgcrypto, in
short blocks in a new random order in every round, and compares blocks of the same
round. Without --dsn it starts PostgreSQL in a container. With it, a schema named
colseal_bench is made on that server and dropped in the end; the user must be allowed
to create it, and the extension pgcrypto.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := runQueries(cmd.Context(), o)
			if err != nil {
				return err
			}
			return out.publish(cmd.OutOrStdout(), r)
		},
	}
	queriesFlags(cmd, &o)
	return cmd
}

func queriesFlags(cmd *cobra.Command, o *queries.Options) {
	f := cmd.Flags()
	f.StringVar(&o.DSN, "dsn", "", "address of a PostgreSQL server; a container when there is none")
	f.IntVar(&o.Rounds, "rounds", 100, "blocks of each way")
	f.DurationVar(&o.Block, "block", 20*time.Millisecond, "length of a block")
	f.DurationVar(&o.Limit, "limit", 30*time.Second, "no further rounds of a case after this time")
	f.IntSliceVar(&o.Conns, "conns", []int{1, 8}, "numbers of connections")
	f.StringVar(&o.Only, "only", "", "only the cases whose name holds this text")
}

func runQueries(ctx context.Context, o queries.Options) (*doc.Report, error) {
	machine := doc.ThisMachine()
	const steps = 1000
	progress := bar(steps, "queries")
	outcome, err := queries.Run(ctx, o, func(done float64) { _ = progress.Set(int(done * steps)) })
	if err != nil {
		return nil, err
	}
	_ = progress.Finish()
	conns := strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Conns), " ", ","), "[]")
	command := fmt.Sprintf("go run ./bench queries --rounds %d --block %v --limit %v --conns %s", o.Rounds, o.Block, o.Limit, conns)
	if o.Only != "" {
		command += fmt.Sprintf(" --only %q", o.Only)
	}
	return &doc.Report{Section: "queries", Command: command, Machine: machine, Goals: outcome.Goals(), Tables: outcome.Tables(), Data: outcome}, nil
}
