// Command bench measures what Colseal costs where an ordinary Go benchmark does not do.
//
//	go run ./bench cache     simulates the key cache: hit rate, KMS requests and their price
//	go run ./bench queries   times SELECT and INSERT against plain pgx and pgcrypto
//	go run ./bench goals     compares what sealed columns cost with what they may
//	go run ./bench cells     times one value against AES-GCM and Tink
//	go run ./bench search    times ranges, pages, sorting and LIKE over sealed columns against plain twins
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Measure what Colseal costs",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(cacheCommand(), queriesCommand(), goalsCommand(), cellsCommand(), searchCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

// bar shows progress on to if that is a terminal. steps is -1 where their number is unknown.
func bar(to *os.File, steps int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(steps,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(to),
		progressbar.OptionSetVisibility(term.IsTerminal(int(to.Fd()))), //nolint:gosec // a file descriptor
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
}
