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

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/schema"
)

// sealed opens the database with its sealed columns.
func (k *keysFlags) sealed(ctx context.Context, o *opened, src *source) (*sql.DB, error) {
	s, err := src.load(ctx)
	if err != nil {
		return nil, err
	}
	cfg := driver.Config{Schema: s, Dialect: o.dialect, KMS: o.kms, Logger: k.logger(), KeyTable: k.table, Keys: keycache.Config{MaxAge: k.maxAge, MaxStale: k.maxStale}}
	if cfg.KMS == nil {
		cfg.KMS = keyless{}
	}
	cn, err := driver.NewConnector(o.connector, cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(cn), nil
}

// bar shows progress on a terminal, and nothing elsewhere.
func bar(w io.Writer, what string) func(done, total int64) {
	if !isTerminal(w) {
		return func(int64, int64) {}
	}
	b := progressbar.NewOptions64(1, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	return func(done, total int64) {
		b.ChangeMax64(max(total, 1))
		_ = b.Set64(min(done, total)) // a bar that cannot be drawn is not drawn
	}
}

// jsonRewrap is the JSON output of rewrap. Its fields stay as they are; others may come.
type jsonRewrap struct {
	DryRun    bool              `json:"dry_run"`
	KEK       string            `json:"kek"`
	Keys      int               `json:"keys"`
	Rewrapped int               `json:"rewrapped"`
	Current   int               `json:"current"`
	Destroyed int               `json:"destroyed"`
	Failed    map[string]string `json:"failed"`
}

func newKeysRewrap(k *keysFlags) *cobra.Command {
	var opts keyring.RewrapOptions
	cmd := &cobra.Command{
		Use:   "rewrap",
		Short: "Wrap every key under the key encryption key that --kms names",
		Long: "Wrap every key under the key encryption key that --kms names: after it was replaced, or moved to another region.\n" +
			"It costs one call of KMS for each key (ReEncrypt: no plaintext leaves KMS), and more under several. No row but the\n" +
			"keyring's is written.\n\n" +
			"Keys that are under it already are skipped. A key under a key encryption key that is neither trusted (?trust= of\n" +
			"awskms, ?retired= of localkms) nor named with --from fails: somebody could have put a key there that they know.\n" +
			"A key that fails does not stop the others: the exit status is 1 then.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.with(cmd, true, func(ctx context.Context, o *opened) error {
				opts.DryRun = k.dryRun
				show := bar(cmd.ErrOrStderr(), "rewrap")
				opts.Progress = func(done, total int) { show(int64(done), int64(total)) }
				r, err := o.admin.Rewrap(ctx, opts)
				if err != nil && len(r.Failed) == 0 {
					return err
				}
				if err := k.printRewrap(cmd.OutOrStdout(), r); err != nil {
					return err
				}
				switch {
				case ctx.Err() != nil: // most of those that failed were not tried
					return err
				case len(r.Failed) > 0:
					return errFound
				}
				return nil
			})
		},
	}
	k.kmsFlag(cmd, "the key encryption key to wrap the keys under")
	k.changeFlags(cmd)
	cmd.Flags().StringArrayVar(&opts.From, "from", nil, "a key encryption key of yours that keys are under, as status prints it; may be repeated")
	cmd.Flags().BoolVar(&opts.Force, "force", false, "rewrap the keys that are under it already, too: after its material was rotated")
	cmd.Flags().IntVar(&opts.Parallel, "parallel", 4, "keys at a time")
	return cmd
}

func (k *keysFlags) printRewrap(w io.Writer, r keyring.RewrapReport) error {
	out := jsonRewrap{DryRun: k.dryRun, KEK: r.KEK, Keys: r.Total, Rewrapped: r.Rewrapped, Current: r.Current, Destroyed: r.Destroyed, Failed: map[string]string{}}
	for id, err := range r.Failed {
		out.Failed[keyID(id)] = err.Error()
	}
	if k.json {
		return printJSON(w, out)
	}
	if r.Total == 0 {
		fmt.Fprintln(w, "no keys to rewrap")
		return nil
	}
	did := "rewrapped"
	if k.dryRun {
		did = "would rewrap"
	}
	to := ""
	if r.KEK != "" { // not known if every key failed
		to = " to " + r.KEK
	}
	fmt.Fprintf(w, "%s %d of %s%s; %d under it already\n", did, r.Rewrapped, count(r.Total, "key"), to, r.Current)
	for id, err := range r.Failed {
		fmt.Fprintf(w, "failed: %s: %s\n", keyID(id), harmless(err.Error()))
	}
	return nil
}

// jsonAdopt is the JSON output of adopt. Its fields stay as they are; others may come.
type jsonAdopt struct {
	DryRun     bool              `json:"dry_run"`
	OldKeyring string            `json:"old_keyring"`
	Keyring    string            `json:"keyring"`
	KEK        string            `json:"kek"`
	Keys       int               `json:"keys"`
	Failed     map[string]string `json:"failed"`
}

func newKeysAdopt(k *keysFlags) *cobra.Command {
	var opts keyring.AdoptOptions
	var leave []string
	var why string
	cmd := &cobra.Command{
		Use:   "adopt --why REASON",
		Short: "Give the keyring of a copied database an id of its own",
		Long: "Give the keyring of a copied database an id of its own, and wrap every key with it, under the key encryption key that\n" +
			"--kms names. Cells do not change. From then on rows of the original's keyring do not open in the copy.\n\n" +
			"It costs one call of KMS for each key (ReEncrypt), and then one transaction: after an error, or a kill, nothing was\n" +
			"changed. Run it before programs use the copy. Keys under another key encryption key are taken as rewrap takes them.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if why == "" {
				return errors.New("say why: --why is for the record in the keyring")
			}
			opts.Leave = nil
			for _, s := range leave {
				id, err := parseKeyID(s)
				if err != nil {
					return err
				}
				opts.Leave = append(opts.Leave, id)
			}
			return k.with(cmd, true, func(ctx context.Context, o *opened) error { return k.adopt(cmd, o, why, opts) })
		},
	}
	k.kmsFlag(cmd, "the key encryption key to wrap the keys under")
	k.changeFlags(cmd)
	k.confirmFlag(cmd, "the id that the keyring has now")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the record")
	cmd.Flags().StringArrayVar(&opts.From, "from", nil, "a key encryption key of yours that keys are under, as status prints it; may be repeated")
	cmd.Flags().StringSliceVar(&leave, "leave", nil, "rows that are no keys, and stay as they are: what they sealed, if anything, does not open any more")
	cmd.Flags().IntVar(&opts.Parallel, "parallel", 4, "keys at a time")
	return cmd
}

func (k *keysFlags) adopt(cmd *cobra.Command, o *opened, why string, opts keyring.AdoptOptions) error {
	ctx := cmd.Context()
	id, err := o.store.ID(ctx)
	if err != nil {
		return err
	}
	if !k.dryRun {
		if err := k.confirm(cmd, "About to give the keyring "+id+" another id. In the original database, programs that are pinned to its id would stop.", id); err != nil {
			return err
		}
	}
	opts.DryRun = k.dryRun
	show := bar(cmd.ErrOrStderr(), "adopt")
	opts.Progress = func(done, total int) { show(int64(done), int64(total)) }
	r, err := o.admin.Adopt(ctx, why, opts)
	if err != nil && len(r.Failed) == 0 {
		return err
	}
	out := jsonAdopt{DryRun: k.dryRun, OldKeyring: r.Old, Keyring: r.New, KEK: r.KEK, Keys: r.Keys, Failed: map[string]string{}}
	for id, err := range r.Failed {
		out.Failed[keyID(id)] = err.Error()
	}
	w := cmd.OutOrStdout()
	switch {
	case k.json:
		if err := printJSON(w, out); err != nil {
			return err
		}
	case k.dryRun && len(r.Failed) == 0:
		fmt.Fprintf(w, "would wrap %s for a keyring of another id than %s\n", count(r.Keys, "key"), r.Old)
	case len(r.Failed) == 0:
		fmt.Fprintf(w, "adopted the keyring %s with %s: it is %s now\n", r.Old, count(r.Keys, "key"), r.New)
	default:
		fmt.Fprintln(w, "nothing was changed: keys failed, which --leave would leave as they are")
		for id, err := range r.Failed {
			fmt.Fprintf(w, "failed: %s: %s\n", keyID(id), harmless(err.Error()))
		}
	}
	if len(r.Failed) > 0 {
		return errFound
	}
	return nil
}

// jsonReseal is the JSON output of reseal. Its fields stay as they are; others may come.
type jsonReseal struct {
	DryRun         bool      `json:"dry_run"`
	Passes         int       `json:"passes"`
	Rows           int64     `json:"rows"`
	Resealed       int64     `json:"resealed"`
	Lost           int64     `json:"lost"`
	Destroyed      int64     `json:"destroyed"`
	Unreadable     int64     `json:"unreadable"`
	Duplicates     int64     `json:"duplicates"`
	Orphans        int64     `json:"orphans"`
	Left           int64     `json:"left"`
	PendingSeconds int64     `json:"pending_seconds"`
	Uses           []jsonUse `json:"uses"`
}

// jsonUse counts the cells of a column by key.
type jsonUse struct {
	Table   string `json:"table"`
	Column  string `json:"column"`
	State   string `json:"state"`
	Cells   int64  `json:"cells"`
	Key     string `json:"key,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	Scope   string `json:"scope"`
	Epoch   int64  `json:"epoch,omitempty"`
}

// resealFlags are what to re-seal.
type resealFlags struct {
	src     source
	purpose string
	keys    []string
	kind    string
	zone    string
	opts    reseal.Options
}

// convert reads the flags about kinds and time zones.
func (f *resealFlags) convert(dryRun bool) (err error) {
	if f.kind != "" {
		if dryRun {
			return errors.New("--dry-run and --from-kind exclude each other: a cell's kind is not known before it is opened")
		}
		if f.opts.FromKind, err = codec.ParseKind(f.kind); err != nil {
			return fmt.Errorf("--from-kind: %w", err)
		}
		if len(f.opts.Columns) == 0 {
			return errors.New("--from-kind needs --column: which columns held that kind")
		}
	}
	if f.zone != "" {
		if f.opts.TimeZone, err = time.LoadLocation(f.zone); err != nil {
			return fmt.Errorf("--time-zone: %w", err)
		}
	}
	return nil
}

func newKeysReseal(k *keysFlags) *cobra.Command {
	var f resealFlags
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Re-seal stored cells under the keys that seal now",
		Long: "Re-seal stored cells under the keys that seal now: to finish a change of search keys, or after a key was revoked.\n" +
			"With --from-kind, to convert the cells of columns whose kind was changed: each value is written as text, as PostgreSQL\n" +
			"writes it, and sealed as the kind that the schema declares. A cell keeps its scope.\n\n" +
			"It runs beside the programs, in batches, and overwrites nothing that somebody else has just written. Interrupt it as\n" +
			"you like, and run it again. Each row that changes is an UPDATE: triggers fire. --dry-run counts the cells by key.\n\n" +
			"The exit status is 1 when cells are left that are not under the keys that seal now, and when the keyring does not have\n" +
			"the key of a cell.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range f.keys {
				id, err := parseKeyID(s)
				if err != nil {
					return err
				}
				f.opts.Keys = append(f.opts.Keys, id)
			}
			if err := f.convert(k.dryRun); err != nil {
				return err
			}
			return k.with(cmd, !k.dryRun, func(ctx context.Context, o *opened) error { return k.reseal(cmd, o, &f) })
		},
	}
	k.kmsFlag(cmd, "the key encryption key")
	k.changeFlags(cmd)
	f.src.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.purpose, "purpose", "", "only the columns of these keys: data (randomized) or search (deterministic)")
	fl.StringSliceVar(&f.opts.Columns, "column", nil, "only these columns, as table.column, or table for all of a table's")
	fl.StringSliceVar(&f.keys, "key", nil, "only the cells under these keys")
	fl.StringVar(&f.kind, "from-kind", "", "convert cells that hold this kind, such as int, to the kind that --column is declared to hold now")
	fl.StringVar(&f.zone, "time-zone", "", "where instants become dates or timestamps, and they instants, such as Europe/Berlin")
	fl.IntVar(&f.opts.Batch, "batch", 200, "rows in a transaction")
	fl.IntVar(&f.opts.RowsPerSecond, "rate", 0, "rows to write in a second at most; 0 for no bound")
	return cmd
}

func (k *keysFlags) reseal(cmd *cobra.Command, o *opened, f *resealFlags) error {
	ctx := cmd.Context()
	s, err := f.src.load(ctx)
	if err != nil {
		return err
	}
	if f.opts.Columns, err = columnsOf(s, f.purpose, f.opts.Columns); err != nil {
		return err
	}
	for _, id := range f.opts.Keys { // a mistyped one has no cells, which would read as if all were done
		if _, err := o.one(ctx, id); err != nil {
			return err
		}
	}
	db, err := k.sealed(ctx, o, &f.src)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // what was written is committed
	var r reseal.Report
	if k.dryRun {
		r.Uses, err = reseal.Usage(ctx, db, f.opts.Columns...)
	} else {
		show := bar(cmd.ErrOrStderr(), "reseal")
		f.opts.Progress = func(p reseal.Progress) { show(p.Done, p.Total) }
		r, err = reseal.Run(ctx, db, f.opts)
	}
	if err != nil {
		if r.Resealed > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "colseal: %s were re-sealed until then; run it again for the others\n", count(r.Resealed, "cell"))
		}
		return err
	}
	left := f.left(r)
	if err := k.printReseal(cmd.OutOrStdout(), r, left); err != nil {
		return err
	}
	if _, unknown := reseal.Unknown(r.Uses); unknown > 0 {
		return errFound
	}
	if !k.dryRun && (left > 0 || r.Pending > 0 || r.Duplicates+r.Orphans+r.Unreadable > 0) {
		return errFound
	}
	return nil
}

// left returns the number of cells that were asked for and are not under the keys that seal now.
func (f *resealFlags) left(r reseal.Report) (n int64) {
	for _, u := range r.Uses {
		if u.State == reseal.StateOld && (len(f.opts.Keys) == 0 || slices.Contains(f.opts.Keys, u.KeyID)) {
			n += u.Cells
		}
	}
	return n
}

// columnsOf bounds names of columns to those that keys of a purpose seal.
func columnsOf(s *schema.Schema, purpose string, names []string) ([]string, error) {
	p, err := parsePurpose(purpose, true)
	if err != nil || p == "" {
		return names, err
	}
	if len(names) > 0 {
		return nil, errors.New("--column and --purpose exclude each other")
	}
	for _, t := range s.Tables() {
		for _, c := range t.Columns() {
			if t.ViewOf == "" && c.Suite().Searchable() == (p == keyring.PurposeSearch) {
				names = append(names, t.String()+"."+c.Name)
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the schema has no column that %s keys seal", p)
	}
	return names, nil
}

func (k *keysFlags) printReseal(w io.Writer, r reseal.Report, left int64) error {
	if k.json {
		out := jsonReseal{DryRun: k.dryRun, Passes: r.Passes, Rows: r.Rows, Resealed: r.Resealed, Lost: r.Lost,
			Destroyed: r.Destroyed, Unreadable: r.Unreadable, Duplicates: r.Duplicates, Orphans: r.Orphans, Left: r.Left(),
			PendingSeconds: int64(r.Pending.Seconds()), Uses: []jsonUse{}}
		for _, u := range r.Uses {
			use := jsonUse{Table: u.Table, Column: u.Column, State: u.State.String(), Cells: u.Cells, Purpose: string(u.Purpose), Scope: u.Scope, Epoch: u.Epoch}
			if u.KeyID != 0 {
				use.Key = keyID(u.KeyID)
			}
			out.Uses = append(out.Uses, use)
		}
		return printJSON(w, out)
	}
	rows := [][]string{{"TABLE", "COLUMN", "CELLS", "KEY", "PURPOSE", "SCOPE", "EPOCH", "STATE"}}
	for _, u := range r.Uses {
		row := []string{u.Table, u.Column, fmt.Sprint(u.Cells), "-", "-", "-", "-", u.State.String()}
		if u.Epoch > 0 {
			row = []string{u.Table, u.Column, fmt.Sprint(u.Cells), keyID(u.KeyID), string(u.Purpose), scopeName(u.Scope), fmt.Sprint(u.Epoch), u.State.String()}
		}
		rows = append(rows, row)
	}
	if len(rows) > 1 {
		if err := printTable(w, rows); err != nil {
			return err
		}
	}
	if k.dryRun {
		fmt.Fprintf(w, "would re-seal %s\n", count(left, "cell"))
		if line := unknownKeys(r.Uses); line != "" {
			fmt.Fprintln(w, "attention:", line)
		}
		return nil
	}
	fmt.Fprintf(w, "re-sealed %s; %d left\n", count(r.Resealed, "cell"), left)
	for _, line := range notes(r) {
		fmt.Fprintln(w, "attention:", line)
	}
	return nil
}

// unknownKeys says which keys are missing; "" if none is.
func unknownKeys(uses []reseal.KeyUse) string {
	keys, cells := reseal.Unknown(uses)
	if cells == 0 {
		return ""
	}
	ids := make([]string, len(keys))
	for i, id := range keys {
		ids[i] = keyID(id)
	}
	return count(cells, "cell") + " under keys that the keyring does not have: " + strings.Join(ids, ", ") +
		"; import them from a copy of the keyring that has them (colseal keys import)"
}

// notes says what is left, and what to do about it.
func notes(r reseal.Report) []string {
	var out []string
	if line := unknownKeys(r.Uses); line != "" {
		out = append(out, line)
	}
	if r.Pending > 0 {
		out = append(out, "a newer search key begins to seal in "+span(r.Pending)+": run this again then")
	}
	if r.Unreadable > 0 {
		out = append(out, count(r.Unreadable, "cell")+" did not open: altered, or of another kind than the column's (--from-kind converts), or not a value of the new kind")
	}
	if r.Duplicates > 0 {
		out = append(out, count(r.Duplicates, "cell")+" of values that a unique index has under the other key already: settle which row is to keep the value")
	}
	if r.Orphans > 0 {
		out = append(out, count(r.Orphans, "cell")+" held by a foreign key to the cell of another table: give it ON UPDATE CASCADE for the time of the change")
	}
	return out
}
