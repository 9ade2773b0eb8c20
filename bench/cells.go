package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/cells"
	"github.com/colseal/colseal/bench/internal/doc"
)

func cellsCommand(out *output) *cobra.Command {
	o := cells.Options{}
	cmd := &cobra.Command{
		Use:   "cells",
		Short: "Seal and open single values, against bare AES-256-GCM and Tink",
		Long: `Seals and opens values of several sizes in every way that Colseal can, beside bare
AES-256-GCM and Tink's AEADs. All ways are timed in short blocks in a new random
order in every round; ratios are of blocks of the same round.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := runCells(o)
			if err != nil {
				return err
			}
			return out.publish(cmd.OutOrStdout(), r)
		},
	}
	cellsFlags(cmd, &o)
	return cmd
}

func cellsFlags(cmd *cobra.Command, o *cells.Options) {
	f := cmd.Flags()
	f.IntSliceVar(&o.Sizes, "sizes", []int{16, 64, 256, 1024, 4096, 65536}, "plaintext sizes in bytes")
	f.IntVar(&o.Rounds, "rounds", 60, "blocks of each way")
	f.DurationVar(&o.Block, "block", 2*time.Millisecond, "length of a block")
}

func runCells(o cells.Options) (*doc.Report, error) {
	machine := doc.ThisMachine()
	progress := bar(cells.Blocks(o), "cells")
	results, err := cells.Run(o, func() { _ = progress.Add(1) })
	if err != nil {
		return nil, err
	}
	_ = progress.Finish()
	parallel, err := cells.Parallel(o)
	if err != nil {
		return nil, err
	}
	sizes := strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Sizes), " ", ","), "[]")
	return &doc.Report{
		Section: "cells",
		Command: fmt.Sprintf("go run ./bench cells --sizes %s --rounds %d --block %v", sizes, o.Rounds, o.Block),
		Machine: machine,
		Goals:   cells.Goals(results),
		Tables:  append(cells.Tables(results), parallel),
		Data:    results,
	}, nil
}
