package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/cells"
	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/lookups"
	"github.com/colseal/colseal/bench/internal/queries"
)

// settings are those of a report: the defaults of the commands' flags.
type settings struct {
	cells   cells.Options
	lookups lookups.Options
	queries queries.Options
}

// reportCommand measures everything that docs/benchmarks.md tells.
func reportCommand(out *output) *cobra.Command {
	var only []string
	o := usualSettings()
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Measure everything, and write docs/benchmarks.md",
		Long: `Runs cells, lookups, cache --sweep and queries with their usual settings, and rewrites
their parts of docs/benchmarks.md, the plots and the table of goals. Run it from the root of
the repository, on a quiet machine; it takes some ten minutes. Each part is written as
soon as it is measured: --only measures some anew and leaves the others as they are.
--json takes a directory here, which must exist.`,
		Example: `  go run ./bench report
  go run ./bench report --only cells,lookups`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out.docs == "" {
				out.docs = "docs"
			}
			for _, name := range only {
				if !slices.Contains(doc.Sections, name) {
					return fmt.Errorf("--only %s: the parts are %s", name, strings.Join(doc.Sections, ", "))
				}
			}
			for _, name := range doc.Sections {
				if len(only) > 0 && !slices.Contains(only, name) {
					continue
				}
				if err := reportSection(cmd, out, name, o); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "measure these parts only: "+strings.Join(doc.Sections, ", "))
	cmd.Flags().StringVar(&o.queries.DSN, "dsn", "", "address of a PostgreSQL server; a container when there is none")
	cmd.Flags().IntVar(&o.queries.Rounds, "query-rounds", o.queries.Rounds, "blocks of each way to run a query")
	return cmd
}

// reportSection measures one part and writes it.
func reportSection(cmd *cobra.Command, out *output, name string, o settings) error {
	start := time.Now()
	var r *doc.Report
	var err error
	switch name {
	case "cells":
		r, err = runCells(o.cells)
	case "lookups":
		r, err = runLookups(o.lookups)
	case "cache":
		r = &doc.Report{Section: "cache", Machine: doc.ThisMachine(), Command: "go run ./bench cache --sweep"}
		err = sweepCache(out, r, runtime.GOMAXPROCS(0))
	case "queries":
		r, err = runQueries(cmd.Context(), o.queries)
	}
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
	_, _ = fmt.Fprintf(os.Stderr, "%s took %v\n", name, time.Since(start).Round(time.Second))
	return nil
}

// usualSettings are the defaults of the flags.
func usualSettings() (o settings) {
	cellsFlags(&cobra.Command{}, &o.cells)
	lookupsFlags(&cobra.Command{}, &o.lookups)
	queriesFlags(&cobra.Command{}, &o.queries)
	return o
}
