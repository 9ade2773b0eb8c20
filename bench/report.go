package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/cells"
	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/queries"
)

// reportCommand measures everything that docs/benchmarks.md tells.
func reportCommand(out *output) *cobra.Command {
	return &cobra.Command{
		Use:   "report",
		Short: "Measure everything, and write docs/benchmarks.md",
		Long: `Runs cells, cache --sweep and queries with their usual settings, and rewrites their
parts of docs/benchmarks.md with the plots. Run it on a quiet machine, from the root
of the repository. --json takes a directory here, which must exist.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out.docs == "" {
				out.docs = "docs"
			}
			c, q := usualSettings()
			for _, run := range []func() (*doc.Report, error){
				func() (*doc.Report, error) { return runCells(c) },
				func() (*doc.Report, error) {
					r := &doc.Report{Section: "cache", Machine: doc.ThisMachine(), Command: "go run ./bench cache --sweep"}
					return r, sweepCache(out, r, runtime.GOMAXPROCS(0))
				},
				func() (*doc.Report, error) { return runQueries(cmd.Context(), q) },
			} {
				r, err := run()
				if err != nil {
					return err
				}
				one := *out
				if out.json != "" {
					one.json = out.json + "/" + r.Section + ".json"
				}
				if err := one.publish(cmd.OutOrStdout(), r); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// usualSettings are the defaults of the flags.
func usualSettings() (c cells.Options, q queries.Options) {
	cellsFlags(&cobra.Command{}, &c)
	queriesFlags(&cobra.Command{}, &q)
	return c, q
}
