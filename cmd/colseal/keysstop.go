package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/reseal"
)

func newKeysRevoke(k *keysFlags) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "revoke KEY --why REASON",
		Short: "Stop a key for a cause: it never seals again, and still opens",
		Long: "Stop a key for a cause: it never seals again, and still opens what it sealed. The next one is made first.\n" +
			"Running programs stop sealing with it when they next read the keyring, within MaxAge.\n\n" +
			"A search key goes on being searched for until its rows are re-sealed and it is retired.\n" +
			"To move its cells to another key afterwards: colseal keys reseal --key KEY.",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseKeyID(args[0])
			if err != nil {
				return err
			}
			if why == "" {
				return errors.New("say why: --why is for the record in the keyring")
			}
			return k.with(cmd, !k.dryRun, func(ctx context.Context, o *opened) error {
				key, err := o.one(ctx, id)
				if err != nil {
					return err
				}
				return k.stop(cmd, key, "revoke", func() (keyring.Key, error) { return o.admin.Revoke(ctx, id, why) })
			})
		},
	}
	k.kmsFlag(cmd, "the key encryption key that wraps the key to follow")
	k.changeFlags(cmd)
	k.confirmFlag(cmd, "the key's id")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the record")
	return cmd
}

func newKeysRetire(k *keysFlags) *cobra.Command {
	var why string
	var src source
	var unchecked bool
	cmd := &cobra.Command{
		Use:   "retire KEY",
		Short: "End a search key whose rows were re-sealed: it is no longer searched for",
		Long: "End a search key whose rows were re-sealed: it is no longer searched for, and still opens.\n\n" +
			"The cells under the key are counted first, in the tables of the schema, and it is refused if there are any:\n" +
			"no search would find them. It is refused, too, while a program may still seal under it.",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseKeyID(args[0])
			if err != nil {
				return err
			}
			return k.with(cmd, false, func(ctx context.Context, o *opened) error {
				key, err := o.one(ctx, id)
				if err != nil {
					return err
				}
				if !unchecked {
					if err := k.checkUnused(ctx, o, &src, key); err != nil {
						return err
					}
				}
				return k.stop(cmd, key, "retire", func() (keyring.Key, error) { return o.admin.Retire(ctx, id, why) })
			})
		},
	}
	k.changeFlags(cmd)
	k.confirmFlag(cmd, "the key's id")
	src.optionalFlags(cmd)
	cmd.Flags().BoolVar(&unchecked, "unchecked", false, "do not count the cells under the key")
	cmd.MarkFlagsOneRequired("models", "schema", "unchecked")
	cmd.MarkFlagsMutuallyExclusive("models", "schema", "unchecked")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the record")
	return cmd
}

// stop has a key revoked or retired, once that is confirmed, and reports it.
func (k *keysFlags) stop(cmd *cobra.Command, key keyring.Key, verb string, change func() (keyring.Key, error)) error {
	what := fmt.Sprintf("%s key %s of %s, epoch %d", key.Purpose, keyID(key.ID), scopeText(key.Scope), key.Epoch)
	if k.dryRun {
		return k.report(cmd.OutOrStdout(), verb, []keyring.Key{key}, fmt.Sprintf("would %s %s, which is %s", verb, what, key.State))
	}
	if err := k.confirm(cmd, fmt.Sprintf("About to %s %s.", verb, what), keyID(key.ID)); err != nil {
		return err
	}
	key, err := change()
	if err != nil {
		return err
	}
	return k.report(cmd.OutOrStdout(), verb, []keyring.Key{key}, strings.TrimSuffix(verb, "e")+"ed "+what)
}

// checkUnused refuses a search key that cells are under.
func (k *keysFlags) checkUnused(ctx context.Context, o *opened, src *source, key keyring.Key) error {
	if key.Purpose != keyring.PurposeSearch {
		return nil
	}
	if err := o.settled(ctx, key); err != nil {
		return err
	}
	db, err := k.sealed(ctx, o, src)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written
	uses, err := reseal.Usage(ctx, db)
	if err != nil {
		return err
	}
	for _, u := range uses {
		if u.KeyID == key.ID {
			return fmt.Errorf("%s.%s has %s under key %s, which no search would find: colseal keys reseal --key %s first", u.Table, u.Column,
				count(u.Cells, "cell"), keyID(key.ID), keyID(key.ID))
		}
	}
	return nil
}
