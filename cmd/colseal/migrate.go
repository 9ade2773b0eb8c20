package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/migrate"
)

// migrateFlags are what seal, unseal and status have in common.
type migrateFlags struct {
	keys    keysFlags
	src     source
	opts    migrate.Options
	stage   string
	replica string
	finish  bool
	scope   string
}

func (f *migrateFlags) flags(cmd *cobra.Command) {
	k, fl := &f.keys, cmd.Flags()
	f.src.flags(cmd)
	fl.StringVar(&k.dsn, "dsn", "", "database, without a pooler between (default: the environment's "+dsnEnv+"); for SQLite a file")
	dialectFlag(cmd, &k.dialect)
	fl.StringVar(&k.table, "key-table", driver.DefaultKeyTable, "the keyring table, as in driver.Config")
	fl.StringVar(&k.keyring, "keyring-id", "", "refuse any keyring but the one of this id, which keys status prints (default: any)")
	fl.BoolVar(&k.json, "json", false, "print JSON")
	k.maxAge, k.maxStale = 10*time.Minute, time.Hour
}

// change adds the flags of the commands that change a table.
func (f *migrateFlags) change(cmd *cobra.Command, stages string) {
	f.flags(cmd)
	k, fl := &f.keys, cmd.Flags()
	k.kmsFlag(cmd, "the key encryption key")
	fl.StringVar(&f.stage, "for", "", "the stage that programs go to next: "+stages)
	fl.BoolVar(&k.dryRun, "dry-run", false, "say what would be done and what cannot be carried along, and change nothing")
	fl.BoolVar(&f.opts.Lock, "lock", false, "take all steps at once, in one transaction that keeps everybody away from the tables; to the end, if --for does not say otherwise")
	fl.BoolVar(&k.events, "events", false, "log the events of docs/operating.md, as JSON on standard error")
	fl.DurationVar(&f.opts.MaxBatch, "max-batch", 50*time.Millisecond, "how long a statement that writes rows may take; as long a pause follows it. 0 for no bound")
	fl.DurationVar(&f.opts.MaxLag, "max-lag", 0, "wait while a replica is further behind (default: do not wait)")
	fl.StringVar(&f.replica, "replica", "", "with --max-lag: a replica to ask, too, that the server does not know: one behind another, or behind an archive")
}

func newSeal() *cobra.Command {
	f := &migrateFlags{}
	cmd := &cobra.Command{
		Use:   "seal [TABLE | TABLE.COLUMN]...",
		Short: "Make a database ready for the next stage of its programs, on the way into sealing",
		Long: "Make a database ready for the next stage of its programs, on the way into sealing (docs/migrating.md), while they run:\n\n" +
			"  --for copy     add companions beside the plain columns, and fill them (the default)\n" +
			"  --for sealed   fill them to the last row, give them the indexes and constraints of the plain columns, and refuse\n" +
			"                 writes without them: stop programs without Colseal before\n" +
			"  --for only     take the constraints from the plain columns: no program may be in copy any more\n" +
			"  --finish       set the plain columns NULL, and hold them to it: no program may be in sealed any more. A column that is\n" +
			"                 NULL keeps its place for SELECT * and INSERT without a list; --drop drops it. Old values stay in the free\n" +
			"                 room of the table's file until it is rewritten, which --rewrite does under a lock\n\n" +
			"Columns are those with a stage in the schema; without names, all of them. What keeps others waiting asks for its lock during\n" +
			"60 to 300 ms, again and again. Interrupt it as you like, or stop the process (SIGSTOP) and let it go on; run it again after an error\n" +
			"or a kill. Rows that are written get an UPDATE: triggers fire.\n\n" +
			"On SQLite all steps are taken at once, while programs stand still: --dialect sqlite --lock.\n\n" +
			"The exit status is 1 when something cannot be carried along, or values were left.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args, migrate.Seal, map[string]migrate.Ready{"": migrate.ReadyCopy, "copy": migrate.ReadyCopy, "sealed": migrate.ReadySealed, "only": migrate.ReadyOnly}, migrate.ReadySealedOnly)
		},
	}
	f.change(cmd, "copy, sealed or only (default copy)")
	cmd.Flags().BoolVar(&f.finish, "finish", false, "the last step: make the plain columns NULL permanently")
	cmd.Flags().BoolVar(&f.opts.Drop, "drop", false, "with --finish: drop the plain columns, too")
	cmd.Flags().BoolVar(&f.opts.Rewrite, "rewrite", false, "with --finish: rewrite the tables (VACUUM FULL), which keeps everybody waiting")
	cmd.Flags().StringVar(&f.scope, "scope", "", "the scope to seal in (default the default one)")
	cmd.Flags().StringVar(&f.opts.ScopeColumn, "scope-column", "", "the column that holds each row's scope")
	cmd.MarkFlagsMutuallyExclusive("for", "finish")
	cmd.MarkFlagsMutuallyExclusive("scope", "scope-column")
	return cmd
}

func newUnseal() *cobra.Command {
	f := &migrateFlags{}
	cmd := &cobra.Command{
		Use:   "unseal [TABLE | TABLE.COLUMN]...",
		Short: "Make a database ready for the stage before of its programs, on the way out of sealing",
		Long: "Make a database ready for the stage before of its programs, on the way out of sealing (docs/migrating.md), while they run:\n\n" +
			"  --for sealed   add plain columns beside the companions (the default)\n" +
			"  --for copy     fill them to the last row, and give them their indexes and constraints: no program may be in only any more\n" +
			"  --for plain    take the constraints from the companions: no program may be in sealed any more, and programs without\n" +
			"                 Colseal may begin\n" +
			"  --finish       drop the companions: no program may be in copy any more\n\n" +
			"It also undoes seal, from wherever that is. All else is as with seal.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args, migrate.Unseal, map[string]migrate.Ready{"": migrate.ReadyOnly, "sealed": migrate.ReadyOnly, "copy": migrate.ReadySealed, "plain": migrate.ReadyCopy}, migrate.ReadyPlain)
		},
	}
	f.change(cmd, "sealed, copy or plain (default sealed)")
	cmd.Flags().BoolVar(&f.finish, "finish", false, "the last step: drop the companions")
	cmd.MarkFlagsMutuallyExclusive("for", "finish")
	return cmd
}

// jsonMigrate is the JSON output of seal and unseal. Its fields stay as they are; others may come.
type jsonMigrate struct {
	DryRun   bool       `json:"dry_run"`
	Ready    string     `json:"ready"`
	Steps    []jsonStep `json:"steps"`
	Problems []string   `json:"problems"`
	Notes    []string   `json:"notes"`
	Sealed   int64      `json:"sealed"`
	Opened   int64      `json:"opened"`
	Cleared  int64      `json:"cleared"`
	Unfit    int64      `json:"unfit"`
}

type jsonStep struct {
	Table string   `json:"table"`
	What  string   `json:"what"`
	SQL   []string `json:"sql,omitempty"`
}

func (f *migrateFlags) run(cmd *cobra.Command, columns []string, work func(context.Context, *sql.DB, migrate.Options) (migrate.Report, error), stages map[string]migrate.Ready, last migrate.Ready) error {
	k, errs := &f.keys, cmd.ErrOrStderr()
	k.stderr = errs
	to, ok := stages[f.stage]
	if !ok {
		return fmt.Errorf("--for %s: see --help for the stages", f.stage)
	}
	if f.finish || f.opts.Lock && f.stage == "" {
		to = last
	}
	f.opts.For, f.opts.Columns, f.opts.DryRun = to, columns, k.dryRun
	if f.replica != "" {
		cn, err := connect(f.replica, dialect.Postgres, false)
		if err != nil {
			return fmt.Errorf("--replica: %w", err)
		}
		f.opts.Replica = sql.OpenDB(cn)
		defer func() { _ = f.opts.Replica.Close() }() // it was only asked
	}
	return k.with(cmd, !k.dryRun, func(ctx context.Context, o *opened) error {
		db, err := k.sealed(ctx, o, &f.src)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }() // what was written is committed
		f.opts.Notice = func(s string) { fmt.Fprintln(errs, "colseal:", harmless(s)) }
		f.opts.Progress = progressOf(errs)
		r, err := work(keyring.WithScope(ctx, f.scope), db, f.opts)
		found := errors.Is(err, migrate.ErrProblems) || errors.Is(err, migrate.ErrUnfit) || len(r.Problems) > 0
		if err != nil && !found {
			if len(r.Steps) > 0 {
				fmt.Fprintf(errs, "colseal: %s were done until then; run it again for the others\n", count(len(r.Steps), "step"))
			}
			return err
		}
		if err := f.print(cmd.OutOrStdout(), r); err != nil {
			return err
		}
		if found {
			return errFound
		}
		return nil
	})
}

// progressOf draws a bar for each work on rows, with its rate, where errs is a terminal.
func progressOf(errs io.Writer) func(migrate.Progress) {
	var now string
	var show func(done, total int64)
	return func(p migrate.Progress) {
		what := p.Doing + " " + p.Table
		if p.Lag > 0 {
			what += fmt.Sprintf(" (lag %s)", p.Lag.Round(time.Millisecond))
		}
		if show == nil || what != now {
			now, show = what, bar(errs, what)
		}
		show(p.Done, p.Total)
	}
}

func (f *migrateFlags) print(w io.Writer, r migrate.Report) error {
	if f.keys.json {
		out := jsonMigrate{DryRun: f.keys.dryRun, Ready: f.opts.For.String(), Steps: []jsonStep{}, Problems: slices.Clip(append([]string{}, r.Problems...)), Notes: append([]string{}, r.Notes...),
			Sealed: r.Sealed, Opened: r.Opened, Cleared: r.Cleared, Unfit: r.Unfit}
		for _, s := range r.Steps {
			out.Steps = append(out.Steps, jsonStep(s))
		}
		return printJSON(w, out)
	}
	for _, s := range r.Steps {
		fmt.Fprintf(w, "%s: %s\n", harmless(s.Table), harmless(s.What))
		if f.keys.dryRun {
			for _, text := range s.SQL {
				fmt.Fprintf(w, "    %s;\n", strings.ReplaceAll(text, "\n", "\n    "))
			}
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "note:", harmless(n))
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "problem:", harmless(p))
	}
	switch {
	case len(r.Problems) > 0:
		fmt.Fprintln(w, "nothing was changed")
	case f.keys.dryRun:
		fmt.Fprintf(w, "nothing was changed; it would be ready for %s\n", f.opts.For)
	case r.Unfit > 0:
		fmt.Fprintf(w, "attention: %s of a value that does not fit the column's kind, or a cell that does not open: see --events, correct them, and run it again\n", count(r.Unfit, "row"))
	default:
		fmt.Fprintf(w, "sealed %d, opened %d, cleared %d; ready for %s\n", r.Sealed, r.Opened, r.Cleared, f.opts.For)
	}
	return nil
}

// jsonColumnStatus is one element of the JSON output of status. Its fields stay as they are; others
// may come.
type jsonColumnStatus struct {
	Table     string `json:"table"`
	Column    string `json:"column"`
	Companion string `json:"companion"`
	Changes   bool   `json:"changes"`
	Ready     string `json:"ready"`
	Done      bool   `json:"done"`
	Unsealed  int64  `json:"unsealed"`
	Unopened  int64  `json:"unopened"`
}

func newMigrateStatus() *cobra.Command {
	f := &migrateFlags{}
	cmd := &cobra.Command{
		Use:   "status [TABLE | TABLE.COLUMN]...",
		Short: "Say for which stages of its programs a database is ready",
		Long: "Say for which stages of its programs a database is ready, and how many rows are not sealed, or not opened, yet.\n" +
			"It reads every row of tables that have both columns. READY FOR is the two stages that may run side by side; in brackets where a step\n" +
			"towards it was begun and is to be run again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.keys.with(cmd, false, func(ctx context.Context, o *opened) error {
				db, err := f.keys.sealed(ctx, o, &f.src)
				if err != nil {
					return err
				}
				defer func() { _ = db.Close() }() // nothing was written
				all, err := migrate.Status(ctx, db, args...)
				if err != nil {
					return err
				}
				return f.printStatus(cmd.OutOrStdout(), all)
			})
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *migrateFlags) printStatus(w io.Writer, all []migrate.ColumnStatus) error {
	if f.keys.json {
		out := []jsonColumnStatus{}
		for _, s := range all {
			out = append(out, jsonColumnStatus{s.Table, s.Column, s.Companion, s.Changes, s.Ready.String(), s.Done, s.Unsealed, s.Unopened})
		}
		return printJSON(w, out)
	}
	rows := [][]string{{"TABLE", "COLUMN", "COMPANION", "READY FOR", "UNSEALED", "UNOPENED"}}
	for _, s := range all {
		ready := s.Ready.String()
		if s.Changes && s.Ready == migrate.ReadyPlain {
			ready = "the options that it had"
		}
		if !s.Done {
			ready = "(" + ready + ")"
		}
		rows = append(rows, []string{s.Table, s.Column, s.Companion, ready, fmt.Sprint(s.Unsealed), fmt.Sprint(s.Unopened)})
	}
	return printTable(w, rows)
}
