package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/lookups"
	"github.com/colseal/colseal/bench/internal/sim"
)

func lookupsCommand(out *output) *cobra.Command {
	o := lookups.Options{}
	cmd := &cobra.Command{
		Use:     "lookups",
		Aliases: []string{"plans"},
		Short:   "Find plans and keys: from one goroutine and from two, among few and among many",
		Long: `Measures what a program pays for every statement and every cell before any
cryptography: finding the plan and finding the key. It counts the KMS requests behind
many cells, and times lookups in real time while KMS hangs for others.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := runLookups(o)
			if err != nil {
				return err
			}
			return out.publish(cmd.OutOrStdout(), r)
		},
	}
	lookupsFlags(cmd, &o)
	return cmd
}

func lookupsFlags(cmd *cobra.Command, o *lookups.Options) {
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 60, "blocks of each lookup")
	f.DurationVar(&o.Block, "block", 2*time.Millisecond, "length of a block")
	f.IntVar(&o.Cells, "cells", 1_000_000, "cells to seal and open, for the count of KMS requests")
	f.DurationVar(&o.Hang, "hang", 3*time.Second, "how long KMS hangs; takes seven times as long; 0 leaves it out")
}

func runLookups(o lookups.Options) (*doc.Report, error) {
	machine := doc.ThisMachine()
	const steps = 100
	progress := bar(steps, "lookups")
	outcome, err := lookups.Run(o, sim.Virtually, func(done float64) { _ = progress.Set(int(done * steps)) })
	if err != nil {
		return nil, err
	}
	_ = progress.Finish()
	return &doc.Report{
		Section: "lookups",
		Command: fmt.Sprintf("go run ./bench lookups --rounds %d --block %v --cells %d --hang %v", o.Rounds, o.Block, o.Cells, o.Hang),
		Machine: machine, Goals: outcome.Goals(), Tables: outcome.Tables(), Data: outcome,
	}, nil
}
