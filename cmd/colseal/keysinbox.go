package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/keyring"
)

func newKeysInbox(k *keysFlags) *cobra.Command {
	var kem string
	var next bool
	cmd := &cobra.Command{
		Use:   "inbox [SCOPE]",
		Short: "Make the inbox that write-only programs seal to, and print its pin",
		Long: "Make the inbox that write-only programs seal to, if there is none, and print the pins of those that there are.\n\n" +
			"A write-only program has the pin in its configuration, and no key service. It takes no inbox but one with such a pin,\n" +
			"so another one is for nobody until programs are given its pin. To replace an inbox: make the next one, give programs\n" +
			"both pins, and revoke the one before it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			scope := ""
			if len(args) == 1 {
				scope = args[0]
			}
			return k.with(cmd, !k.dryRun, func(ctx context.Context, o *opened) error {
				have, err := o.admin.Keys(ctx, keyring.Filter{Purpose: keyring.PurposeInbox, Scope: &scope})
				if err != nil {
					return err
				}
				have = slices.DeleteFunc(have, func(k keyring.Key) bool { return k.State != keyring.StateActive })
				if len(have) > 0 && !next {
					return k.report(cmd.OutOrStdout(), "inbox", have, inboxLines(have)...)
				}
				if k.dryRun {
					return k.report(cmd.OutOrStdout(), "inbox", have, "would make an inbox of "+scopeText(scope))
				}
				key, err := o.admin.Inbox(ctx, scope, keyring.KEM(kem))
				if err != nil {
					return err
				}
				if err := o.noteKEK(cmd, key); err != nil {
					return err
				}
				return k.report(cmd.OutOrStdout(), "inbox", []keyring.Key{key}, append([]string{"made inbox " + keyID(key.ID)}, inboxLines([]keyring.Key{key})...)...)
			})
		},
	}
	k.kmsFlag(cmd, "the key encryption key that wraps the inbox's private key")
	k.changeFlags(cmd)
	cmd.Flags().StringVar(&kem, "kem", string(keyring.KEMX25519), "the public-key algorithm: "+string(keyring.KEMX25519)+", or "+string(keyring.KEMP256)+" where FIPS 140 is asked for")
	cmd.Flags().BoolVar(&next, "next", false, "make another one, to replace those that there are")
	return cmd
}

func inboxLines(keys []keyring.Key) (lines []string) {
	for _, key := range keys {
		lines = append(lines, fmt.Sprintf("inbox %s of %s, epoch %d\npin %s", keyID(key.ID), scopeText(key.Scope), key.Epoch, key.Pin()))
	}
	return lines
}
