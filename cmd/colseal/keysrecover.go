package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/reseal"
)

func newKeysCheck(k *keysFlags) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for cells whose key the keyring does not have",
		Long: "Look for cells whose key the keyring does not have: after a restore, or a failover. It reads every row of the sealed\n" +
			"tables, and opens nothing. The exit status is 1 when there are such cells.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.with(cmd, false, func(ctx context.Context, o *opened) error {
				db, err := k.sealed(ctx, o, &src)
				if err != nil {
					return err
				}
				defer func() { _ = db.Close() }() // nothing was written
				uses, err := reseal.Usage(ctx, db)
				if err != nil {
					return err
				}
				return k.printCheck(cmd, uses)
			})
		},
	}
	src.flags(cmd)
	return cmd
}

// jsonCheck is the JSON output of check. Its fields stay as they are; others may come.
type jsonCheck struct {
	Cells        int64    `json:"cells"`
	MissingKeys  []string `json:"missing_keys"`
	MissingCells int64    `json:"missing_cells"`
}

func (k *keysFlags) printCheck(cmd *cobra.Command, uses []reseal.KeyUse) error {
	keys, missing := reseal.Unknown(uses)
	out := jsonCheck{MissingKeys: []string{}, MissingCells: missing}
	for _, u := range uses {
		if u.State != reseal.StateNotCell {
			out.Cells += u.Cells
		}
	}
	for _, id := range keys {
		out.MissingKeys = append(out.MissingKeys, keyID(id))
	}
	switch w := cmd.OutOrStdout(); {
	case k.json:
		if err := printJSON(w, out); err != nil {
			return err
		}
	case missing == 0:
		fmt.Fprintf(w, "the keyring has the keys of all %s\n", count(out.Cells, "cell"))
	default:
		fmt.Fprintf(w, "%s in all\nattention: %s\n", count(out.Cells, "cell"), unknownKeys(uses))
	}
	if missing > 0 {
		return errFound
	}
	return nil
}

func newKeysImport(k *keysFlags) *cobra.Command {
	var from, dump, table string
	cmd := &cobra.Command{
		Use:   "import (--from DSN | --dump FILE)",
		Short: "Store keys that another copy of the keyring has",
		Long: "Store keys that another copy of the keyring has and this one lacks: after a restore, or a failover. The other copy is\n" +
			"a table of a database that can be reached, or a dump that pg_dump wrote in plain format, with COPY or with INSERT:\n" +
			"of the table, or of the whole database. It is only read.\n\n" +
			"An imported key opens; it neither seals nor is searched for, unless it is a search key of a scope that has none.\n" +
			"Keys of scopes that were destroyed in either copy are left out. Then seal the cells under the imported search keys\n" +
			"again: colseal keys reseal --purpose search.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.with(cmd, false, func(ctx context.Context, o *opened) error {
				if dump != "" {
					return k.importDump(cmd, o, dump, table)
				}
				cn, err := connect(from, o.dialect, false)
				if err != nil {
					return fmt.Errorf("--from: %w", err)
				}
				db := sql.OpenDB(cn)
				defer func() { _ = db.Close() }() // nothing was written
				return k.importKeys(cmd, o, keyring.OpenStore(db, o.dialect, table), "--from", 0)
			})
		},
	}
	k.changeFlags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "the database with the other copy of the keyring; for SQLite a file")
	cmd.Flags().StringVar(&dump, "dump", "", "the `file` with a dump of the other copy, of PostgreSQL; - for standard input")
	cmd.Flags().StringVar(&table, "from-table", keyring.DefaultTable, "the other copy's table")
	cmd.MarkFlagsOneRequired("from", "dump")
	cmd.MarkFlagsMutuallyExclusive("from", "dump")
	return cmd
}

// importDump imports from a dump.
func (k *keysFlags) importDump(cmd *cobra.Command, o *opened, file, table string) error {
	if o.dialect == dialect.SQLite {
		return errors.New("--dump is for PostgreSQL: restore SQLite's dump with `sqlite3 copy.db < FILE`, and give --from copy.db")
	}
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("--dump: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	from, db, dropped, err := loadDump(cmd.Context(), in, table)
	if err != nil {
		return fmt.Errorf("--dump: %w", err)
	}
	defer func() { _ = db.Close() }() // it is in memory
	return k.importKeys(cmd, o, from, "--dump", dropped)
}

// importKeys imports from the keyring that a flag named. invalid is the number of its rows that
// were left out already.
func (k *keysFlags) importKeys(cmd *cobra.Command, o *opened, from *keyring.Store, flag string, invalid int) error {
	ctx := cmd.Context()
	id, err := o.store.ID(ctx)
	if err != nil {
		return err
	}
	other, err := from.ID(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	switch {
	case other == "":
		return fmt.Errorf("%s is a keyring without an id, which holds no keys", flag)
	case id != "" && id != other: // without one it is new, or lost with all of its rows
		return hint.With(fmt.Errorf("%s is another keyring, %s, and not a copy of %s: its keys would not open here", flag, other, id),
			"name a copy of the keyring that is here; or, if this one was only made after the data had been restored, drop its table and restore the other one")
	}
	keys, err := from.Rings(ctx, keyring.Filter{})
	if err != nil {
		return err
	}
	var stored []keyring.Key
	skipped := 0
	for i := len(keys) - 1; i >= 0; i-- { // the newest search key of a scope first, which may go on
		key := keys[i]
		switch {
		case key.Destroyed:
			continue
		case key.Invalid != nil:
			invalid++
			continue
		}
		there, err := o.store.Keys(ctx, []uint32{key.ID})
		switch {
		case err != nil:
			return err
		case len(there) > 0:
			continue
		case k.dryRun:
			stored = append(stored, key)
			continue
		}
		row, ok, err := keyring.Recover(ctx, o.store, key)
		switch {
		case errors.Is(err, keyring.ErrKeyDestroyed):
			skipped++
		case err != nil:
			return err
		case ok:
			stored = append(stored, row)
		}
	}
	did := "imported "
	if k.dryRun {
		did = "would import "
	}
	lines := []string{did + count(len(stored), "key") + " of " + fmt.Sprint(len(keys))}
	if skipped > 0 {
		lines = append(lines, count(skipped, "key")+" of destroyed scopes left out")
	}
	if invalid > 0 {
		lines = append(lines, count(invalid, "row")+" left out that cannot be a key's")
	}
	return k.report(cmd.OutOrStdout(), "import", stored, lines...)
}
