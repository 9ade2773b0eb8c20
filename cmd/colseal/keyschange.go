package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/keyring"
)

func newKeysInit(k *keysFlags) *cobra.Command {
	var scope string
	var warm bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create the keyring table, and with --warm the first keys",
		Long: "Create the keyring table if it is not there, give the keyring its id, and with --warm make the first data key and the first search key of a scope.\n" +
			"Run it again whenever you like. --dry-run prints the statement.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.with(cmd, warm && !k.dryRun, func(ctx context.Context, o *opened) error {
				if k.dryRun {
					return k.report(cmd.OutOrStdout(), "init", nil, o.store.DDL()+";")
				}
				return k.init(cmd, o, scope, warm)
			})
		},
	}
	k.kmsFlag(cmd, "the key encryption key, for --warm")
	k.changeFlags(cmd)
	cmd.Flags().BoolVar(&warm, "warm", false, "make the first keys, too")
	cmd.Flags().StringVar(&scope, "scope", "", "of the first keys")
	return cmd
}

func (k *keysFlags) init(cmd *cobra.Command, o *opened, scope string, warm bool) error {
	ctx := cmd.Context()
	text := "the keyring table " + k.table + " is there"
	if err := o.store.Check(ctx); errors.Is(err, keyring.ErrNoKeyTable) {
		if err := o.store.Create(ctx); err != nil {
			return err
		}
		text = "created the keyring table " + k.table
	} else if err != nil {
		return err
	}
	id, err := o.store.Identify(ctx, "")
	if err != nil {
		return err
	}
	lines := []string{text + ", keyring " + id}
	var made []keyring.Key
	for _, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
		if !warm {
			break
		}
		have, err := o.admin.Keys(ctx, keyring.Filter{Purpose: p, Scope: &scope})
		if err != nil {
			return err
		}
		if len(have) > 0 {
			lines = append(lines, fmt.Sprintf("%s has %s", scopeText(scope), count(len(have), string(p)+" key")))
			continue
		}
		key, err := o.admin.Rotate(ctx, p, scope)
		if err != nil {
			return err
		}
		if err := o.noteKEK(cmd, key); err != nil {
			return err
		}
		made = append(made, key)
		lines = append(lines, fmt.Sprintf("made the first %s key of %s, %s", p, scopeText(scope), keyID(key.ID)))
	}
	return k.report(cmd.OutOrStdout(), "init", made, lines...)
}

func newKeysRotate(k *keysFlags) *cobra.Command {
	var purpose, scope string
	cmd := &cobra.Command{
		Use:   "rotate --purpose data|search",
		Short: "Make the next key of a purpose and scope",
		Long: "Make the next key of a purpose and scope.\n\n" +
			"A data key seals at once; the one before it stays able to open. Programs rotate data keys by themselves, by age and use.\n\n" +
			"A search key is searched for at once, beside the present one, and seals when every program had the time to know it\n" +
			"(--max-age and --max-stale say how long that takes). Then: colseal keys reseal, colseal keys retire.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := parsePurpose(purpose, false)
			if err != nil {
				return err
			}
			return k.with(cmd, !k.dryRun, func(ctx context.Context, o *opened) error {
				if k.dryRun {
					before, err := o.admin.Keys(ctx, keyring.Filter{Purpose: p, Scope: &scope})
					if err != nil {
						return err
					}
					return k.report(cmd.OutOrStdout(), "rotate", before, "would "+wouldRotate(before, p, scope))
				}
				key, err := o.admin.Rotate(ctx, p, scope)
				if err != nil {
					return err
				}
				if err := o.noteKEK(cmd, key); err != nil {
					return err
				}
				return k.report(cmd.OutOrStdout(), "rotate", []keyring.Key{key}, rotated(key))
			})
		},
	}
	k.kmsFlag(cmd, "the key encryption key that wraps the new key")
	k.changeFlags(cmd)
	cmd.Flags().StringVar(&purpose, "purpose", "", "data or search")
	cmd.Flags().StringVar(&scope, "scope", "", "the scope (default the default one)")
	return cmd
}

// noteKEK tells, on standard error, of a key that is the only one under its key encryption key:
// that may be meant, or be a mistyped --kms, which the programs cannot use.
func (o *opened) noteKEK(cmd *cobra.Command, key keyring.Key) error {
	keys, err := o.admin.Keys(cmd.Context(), keyring.Filter{})
	if err != nil {
		return err
	}
	others := 0
	for _, k := range keys {
		switch {
		case k.ID == key.ID || k.State == keyring.StateDestroyed || k.Purpose == keyring.PurposeWriter:
		case k.Wrapped.KeyID == key.Wrapped.KeyID:
			return nil
		default:
			others++
		}
	}
	if others > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "colseal: attention: no other key is under %s: every program needs it from now on; if it is not the one that was meant, rotate again under the right one\n", key.Wrapped.KeyID)
	}
	return nil
}

func rotated(key keyring.Key) string {
	what := fmt.Sprintf("%s key %s of %s, epoch %d", key.Purpose, keyID(key.ID), scopeText(key.Scope), key.Epoch)
	if key.State == keyring.StateNext {
		return what + ": searched for from now on, seals from " + minute(key.SealsFrom) +
			".\nRe-seal the rows after " + minute(key.SettledFrom) + ", when no program seals under the one before it any more."
	}
	return what + ": seals from now on."
}

func wouldRotate(before []keyring.Key, p keyring.Purpose, scope string) string {
	if len(before) == 0 {
		return fmt.Sprintf("make the first %s key of %s", p, scopeText(scope))
	}
	newest := before[len(before)-1]
	switch {
	case newest.State == keyring.StateDestroyed:
		return fmt.Sprintf("fail: %s was destroyed", scopeText(scope))
	case newest.State == keyring.StateNext:
		return fmt.Sprintf("do nothing: search key %s is about to follow, and seals from %s", keyID(newest.ID), minute(newest.SealsFrom))
	case len(searchedOf(before)) > 1:
		return fmt.Sprintf("fail: a change of search keys is under way; retire key %s first", keyID(searchedOf(before)[0].ID))
	}
	return fmt.Sprintf("make %s key epoch %d of %s, to follow %s", p, newest.Epoch+1, scopeText(scope), keyID(newest.ID))
}

func searchedOf(keys []keyring.Key) []keyring.Key {
	var out []keyring.Key
	for _, k := range keys {
		if k.Searched() {
			out = append(out, k)
		}
	}
	return out
}

// one returns the key of an id.
func (o *opened) one(ctx context.Context, id uint32) (keyring.Key, error) {
	keys, err := o.admin.Keys(ctx, keyring.Filter{IDs: []uint32{id}})
	if err != nil {
		return keyring.Key{}, err
	}
	if len(keys) == 0 {
		return keyring.Key{}, fmt.Errorf("the keyring has no key %s: `colseal keys list` lists them", keyID(id))
	}
	return keys[0], nil
}

// settled refuses a search key that a program may still seal under: a count of its cells would say
// nothing of those to come, while the operator is asked for one.
func (o *opened) settled(ctx context.Context, key keyring.Key) error {
	ring, err := o.admin.Keys(ctx, keyring.Filter{Purpose: key.Purpose, Scope: &key.Scope})
	if err != nil {
		return err
	}
	now := key.CreatedAt.Add(key.Age) // by the database's clock
	for _, other := range ring {
		if other.Epoch > key.Epoch && other.Searched() && other.SettledFrom.After(now) {
			return fmt.Errorf("programs may seal under key %s until %s: re-seal the rows and retire it after that", keyID(key.ID), minute(other.SettledFrom))
		}
	}
	return nil
}

func newKeysDestroy(k *keysFlags) *cobra.Command {
	var why string
	var standard bool
	cmd := &cobra.Command{
		Use:   "destroy SCOPE --why REASON",
		Short: "Destroy all keys of a scope: what was sealed in it is lost permanently",
		Long: "Destroy all keys of a scope: what was sealed in it is lost permanently, and nothing is sealed in it any more.\n" +
			"Running programs lose the keys when they next read the keyring, within MaxAge.\n\n" +
			"The wrapped keys in backups and in the write-ahead log are not reached: they are lost with these, or with the\n" +
			"key encryption key. --default destroys the scope of everything that was sealed without one.",
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			if standard == (len(args) == 1) || !standard && args[0] == "" {
				return errors.New("which scope: give its name, or --default for what was sealed without one")
			}
			if why == "" {
				return errors.New("say why: --why is for the record in the keyring")
			}
			scope, word := "", "default"
			if !standard {
				scope, word = args[0], args[0]
			}
			return k.with(cmd, false, func(ctx context.Context, o *opened) error { return k.destroy(cmd, o, scope, word, why) })
		},
	}
	k.changeFlags(cmd)
	k.confirmFlag(cmd, `the scope's name, or "default"`)
	cmd.Flags().BoolVar(&standard, "default", false, "the default scope")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the record")
	return cmd
}

func (k *keysFlags) destroy(cmd *cobra.Command, o *opened, scope, word, why string) error {
	ctx := cmd.Context()
	before, err := o.admin.Keys(ctx, keyring.Filter{Scope: &scope})
	if err != nil {
		return err
	}
	if len(before) == 0 {
		return fmt.Errorf("there are no keys of %s: `colseal keys list` lists them", scopeText(scope))
	}
	live := 0
	for _, key := range before {
		if key.State != keyring.StateDestroyed {
			live++
		}
	}
	what := fmt.Sprintf("%s of %s, and with %s everything that was sealed in it", count(live, "key"), scopeText(scope), map[bool]string{true: "it", false: "them"}[live == 1])
	if k.dryRun {
		return k.report(cmd.OutOrStdout(), "destroy", before, "would destroy "+what)
	}
	if err := k.confirm(cmd, "About to destroy "+what+".", word); err != nil {
		return err
	}
	destroy := o.admin.Destroy
	if scope == "" {
		destroy = func(ctx context.Context, _, why string) ([]keyring.Key, error) {
			return o.admin.DestroyDefault(ctx, why)
		}
	}
	after, err := destroy(ctx, scope, why)
	if err != nil {
		return err
	}
	done := "destroyed " + count(live, "key") + " of " + scopeText(scope) + ": all that there were"
	if live == 0 {
		done = scopeText(scope) + " was destroyed before"
	}
	return k.report(cmd.OutOrStdout(), "destroy", after, done)
}
