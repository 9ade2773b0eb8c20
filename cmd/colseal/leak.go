package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/leak"
)

func newLeak() *cobra.Command {
	var src source
	var o leak.Options
	var dsn string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "leak TABLE.COLUMN",
		Short: "Say what a column's cells show to whoever reads the database",
		Long: "Say what a column's cells show to whoever reads the database: attack them, and count the rows whose value the attack gets\n" +
			"right. It uses no key, opens no cell and prints no value: equal cells are equal values, so the column itself tells which\n" +
			"guesses are right.",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			address := cmp.Or(dsn, os.Getenv(dsnEnv))
			if address == "" {
				return errors.New("no database: give --dsn, or set " + dsnEnv)
			}
			s, err := src.load(cmd.Context())
			if err != nil {
				return err
			}
			db, err := openDB(address, driver.Config{Schema: s})
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }() // nothing was written
			r, err := leak.Column(cmd.Context(), db, args[0], o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), jsonLeak(r))
			}
			fmt.Fprint(cmd.OutOrStdout(), r)
			return nil
		},
	}
	src.flags(cmd)
	cmd.Flags().StringVar(&dsn, "dsn", "", "PostgreSQL database (default: the environment's "+dsnEnv+")")
	cmd.Flags().Float64Var(&o.Percent, "percent", 0, "how much of the rows to look at, drawn at random (default: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// leaked is a report in the JSON output. Its fields stay as they are; others may come.
type leaked struct {
	Column   string       `json:"column"`
	Rows     int          `json:"rows"`
	Null     int          `json:"null"`
	NotCells int          `json:"not_cells"`
	Keys     int          `json:"keys"`
	Cells    int          `json:"cells"`
	Repeated int          `json:"repeated"`
	Lengths  int          `json:"lengths"`
	Alone    int          `json:"alone"`
	Terms    *leakTerms   `json:"terms,omitempty"`
	Attacks  []leakAttack `json:"attacks"`
}

type leakTerms struct {
	Tokens    int `json:"tokens"`
	Commonest int `json:"commonest"`
	Shared    int `json:"shared"`
	Apart     int `json:"apart"`
}

type leakAttack struct {
	Mode  string  `json:"mode"`
	Terms bool    `json:"terms"`
	How   string  `json:"how"`
	Exact float64 `json:"exact"`
	Alike float64 `json:"alike"`
	Away  float64 `json:"away"`
}

func jsonLeak(r *leak.Report) leaked {
	out := leaked{
		Column: r.Column.TableName() + "." + r.Column.Name, Rows: r.Rows, Null: r.Null, NotCells: r.NotCells, Keys: r.Keys,
		Cells: r.Cells, Repeated: r.Repeated, Lengths: r.Lengths, Alone: r.Alone, Attacks: []leakAttack{},
	}
	if t := r.Terms; t != nil {
		out.Terms = &leakTerms{t.Tokens, t.Commonest, t.Shared, t.Apart}
	}
	for _, a := range r.Attacks {
		out.Attacks = append(out.Attacks, leakAttack{a.Mode.String(), a.Terms, a.How, a.Exact, a.Alike, a.Away})
	}
	return out
}
