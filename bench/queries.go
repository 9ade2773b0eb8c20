package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/queries"
	"github.com/colseal/colseal/bench/internal/table"
)

func queriesCommand() *cobra.Command {
	o := queries.Options{}
	cmd := &cobra.Command{
		Use:   "queries",
		Short: "Time SELECT and INSERT against plain pgx and pgcrypto",
		Long: `Runs the same statements through plain pgx, through Colseal and with pgcrypto, in
short blocks in a new random order in every round, and compares blocks of the same
round. Without --dsn it starts PostgreSQL in a container. With --dsn it makes a schema
named colseal_bench on that server and drops it in the end. The user must be allowed
to create the schema and the extension pgcrypto.

--replayed has the server's answers replayed from memory, without system calls: what
is timed then is the program's side alone, which drowns in noise otherwise.

--only selects cases by a part of their names, such as "driver", "native pgx" or
"write-only". The cases are:
  ` + strings.Join(queries.Names(), "\n  "),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const steps = 1000
			progress := bar(os.Stderr, steps, "queries")
			outcome, err := queries.Run(cmd.Context(), o, func(done float64) { _ = progress.Set(int(done * steps)) })
			_ = progress.Finish()
			if err != nil {
				return err
			}
			return printTables(cmd.OutOrStdout(), machine()+", on "+outcome.Server, outcome.Tables())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DSN, "dsn", "", "address of a PostgreSQL server; without it a container is started")
	f.IntVar(&o.Rounds, "rounds", 100, "blocks of each way")
	f.DurationVar(&o.Block, "block", 20*time.Millisecond, "length of a block")
	f.DurationVar(&o.Limit, "limit", 30*time.Second, "no further rounds of a case after this time")
	f.IntSliceVar(&o.Conns, "conns", []int{1, 8}, "numbers of connections")
	f.StringVar(&o.Only, "only", "", "only the cases whose name holds this text")
	f.BoolVar(&o.Replayed, "replayed", false, "replay the server's answers, over one connection")
	return cmd
}

func goalsCommand() *cobra.Command {
	o := queries.Options{}
	cmd := &cobra.Command{
		Use:   "goals",
		Short: "Compare what sealed columns cost with what they may",
		Long: `Runs the cases of "queries" that have a goal, through native pgx and database/sql, on
a server and with its answers replayed, and prints a line for each goal. It takes some
eight minutes on a quiet machine. --dsn is that of "queries".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const steps = 1000
			progress := bar(os.Stderr, steps, "goals")
			server, tables, err := queries.Goals(cmd.Context(), o, func(done float64) { _ = progress.Set(int(done * steps)) })
			_ = progress.Finish()
			if err != nil {
				return err
			}
			return printTables(cmd.OutOrStdout(), machine()+", on "+server, tables)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DSN, "dsn", "", "address of a PostgreSQL server; without it a container is started")
	f.IntVar(&o.Rounds, "rounds", 200, "blocks of each way")
	f.DurationVar(&o.Block, "block", 20*time.Millisecond, "length of a block")
	f.DurationVar(&o.Limit, "limit", 20*time.Second, "no further rounds of a case after this time")
	return cmd
}

// printTables prints tables under a line that says where they are from.
func printTables(w io.Writer, from string, tables []table.Table) error {
	if _, err := fmt.Fprintln(w, from); err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.Print(w); err != nil {
			return err
		}
	}
	return nil
}

func cellsCommand() *cobra.Command {
	var sizes []int
	var rounds int
	var block time.Duration
	cmd := &cobra.Command{
		Use:   "cells",
		Short: "Time one value against AES-GCM and Tink",
		Long: `Encrypts and decrypts one value by AES-256-GCM of the standard library, as cells of
Colseal, and by Tink with its keys in memory, in short blocks in a new random order in
every round, and compares blocks of the same round.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const steps = 1000
			progress := bar(os.Stderr, steps, "cells")
			tables, err := queries.Cells(sizes, rounds, block, func(done float64) { _ = progress.Set(int(done * steps)) })
			_ = progress.Finish()
			if err != nil {
				return err
			}
			return printTables(cmd.OutOrStdout(), machine(), tables)
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&sizes, "sizes", []int{64, 1024}, "lengths of the value")
	f.IntVar(&rounds, "rounds", 100, "blocks of each way")
	f.DurationVar(&block, "block", 5*time.Millisecond, "length of a block")
	return cmd
}

// machine names where and when the program runs. Linux tells the processor's name.
func machine() string {
	cpu := "unknown processor"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer func() { _ = f.Close() }()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s: %s, %d cores, %s, %s/%s", time.Now().UTC().Format(time.DateOnly), cpu,
		runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
