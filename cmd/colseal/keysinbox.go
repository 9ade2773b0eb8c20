package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/keyring"
)

func newKeysInbox(k *keysFlags) *cobra.Command {
	var kem string
	var next bool
	cmd := &cobra.Command{
		Use:   "inbox [SCOPE]",
		Short: "Make the inbox that write-only programs seal to, and print its pin",
		Long: "Make the inbox that write-only programs seal to, if there is none, and print the pins of those that there are. Of an inbox that was\n" +
			"there already it has KMS unwrap the private key first (Decrypt): whoever may write the keyring could have put in one of their own,\n" +
			"and its pin would have programs seal for them. The exit status is 1 if there is such a one.\n\n" +
			"A write-only program has the pin in its configuration, and no key service. It takes no inbox but one with such a pin,\n" +
			"so another one is for nobody until programs are given its pin. To replace an inbox: make the next one, give programs\n" +
			"both pins, and revoke the one before it.",
		Args: atMostOne,
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
				switch {
				case k.dryRun && len(have) > 0 && !next:
					return k.report(cmd.OutOrStdout(), "inbox", have, "there is an inbox of "+scopeText(scope))
				case k.dryRun:
					return k.report(cmd.OutOrStdout(), "inbox", have, "would make an inbox of "+scopeText(scope))
				case len(have) > 0 && !next:
					return k.showInboxes(cmd, o, have)
				}
				key, err := o.admin.Inbox(ctx, scope, keyring.KEM(kem))
				if err != nil {
					return err
				}
				if err := o.noteKEK(cmd, key); err != nil {
					return err
				}
				return k.printInboxes(cmd, []keyring.Key{key}, nil, "made inbox "+keyID(key.ID))
			})
		},
	}
	k.kmsFlag(cmd, "the key encryption key that wraps the inbox's private key")
	k.changeFlags(cmd)
	cmd.Flags().StringVar(&kem, "kem", string(keyring.KEMX25519), "the public-key algorithm: "+string(keyring.KEMX25519)+", or "+string(keyring.KEMP256)+" where FIPS 140 is asked for")
	cmd.Flags().BoolVar(&next, "next", false, "make another one, to replace those that there are")
	return cmd
}

// showInboxes prints inboxes that were there, with the pins of those whose private key KMS unwraps.
func (k *keysFlags) showInboxes(cmd *cobra.Command, o *opened, keys []keyring.Key) error {
	faults := map[uint32]error{}
	for _, key := range keys {
		if err := o.admin.CheckInbox(cmd.Context(), key); err != nil {
			faults[key.ID] = err
		}
	}
	if err := k.printInboxes(cmd, keys, faults); err != nil || len(faults) == 0 {
		return err
	}
	return errFound
}

// printInboxes prints inboxes, and the pins of those without a fault.
func (k *keysFlags) printInboxes(cmd *cobra.Command, keys []keyring.Key, faults map[uint32]error, lines ...string) error {
	out := jsonKeys(keys)
	for i, key := range keys {
		lines = append(lines, fmt.Sprintf("inbox %s of %s, epoch %d", keyID(key.ID), scopeText(key.Scope), key.Epoch))
		if err := faults[key.ID]; err != nil {
			out[i].Invalid = err.Error()
			lines = append(lines, "attention: give its pin to no program, unless you know it from elsewhere: "+err.Error())
			continue
		}
		out[i].Pin = key.Pin()
		lines = append(lines, "pin "+key.Pin())
	}
	if k.json {
		return printJSON(cmd.OutOrStdout(), changed{Action: "inbox", DryRun: k.dryRun, Keys: out})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(lines, "\n"))
	return err
}
