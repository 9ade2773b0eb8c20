// Command bench measures what Colseal costs: one cell, one query, and, by
// simulation, the key cache and its KMS. docs/benchmarks.md is written from it.
//
//	go run ./bench cells     seal and open, against bare AES-256-GCM and Tink
//	go run ./bench lookups   finding plans and keys; KMS requests; a KMS that hangs
//	go run ./bench cache     hit rates, KMS requests and latency of a workload
//	go run ./bench queries   SELECT and INSERT, against plain pgx and pgcrypto
//	go run ./bench report    all of them, into docs/benchmarks.md
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root := newRoot()
	root.SetArgs(longFlags(os.Args[1:]))
	if err := root.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Measure what Colseal costs",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	out := &output{}
	out.flags(root)
	root.AddCommand(cellsCommand(out), lookupsCommand(out), cacheCommand(out), queriesCommand(out), reportCommand(out))
	return root
}

// longFlags lets flags be written with one dash too, as Go's own tools have them.
func longFlags(args []string) []string {
	long := make([]string, len(args))
	for i, a := range args {
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && a[1] >= 'a' && a[1] <= 'z' {
			a = "-" + a
		}
		long[i] = a
	}
	return long
}
