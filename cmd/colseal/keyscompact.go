package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/reseal"
)

func newKeysCompact(k *keysFlags) *cobra.Command {
	var src source
	var older time.Duration
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Delete the keys of write-only programs that no cell is under",
		Long: "Delete the keys of write-only programs that no cell is under. Each such program leaves a key an hour.\n\n" +
			"It reads every row of the sealed tables, and opens nothing. The schema has to name every table that may hold cells: what is\n" +
			"under a key that was deleted does not open any more. --older-than is to be longer than any transaction.\n" +
			"To have fewer keys in use, re-seal their cells first: colseal keys reseal.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.with(cmd, false, func(ctx context.Context, o *opened) error {
				db, err := k.sealed(ctx, o, &src)
				if err != nil {
					return err
				}
				defer func() { _ = db.Close() }() // nothing was written over it
				var cells int64
				report, err := o.admin.Compact(ctx, keyring.CompactOptions{
					OlderThan: older, DryRun: k.dryRun,
					InUse: func(ctx context.Context) (map[uint32]bool, error) {
						uses, err := reseal.Usage(ctx, db)
						used := map[uint32]bool{}
						for _, u := range uses {
							used[u.KeyID], cells = true, cells+u.Cells
						}
						return used, err
					},
					Confirm: func(keys int) error {
						return k.confirm(cmd, fmt.Sprintf("About to delete %s, of which none of the %s in the schema's tables needs one.",
							count(keys, "key"), count(cells, "cell")), "compact")
					},
				})
				if err != nil {
					return err
				}
				return k.printCompact(cmd, report)
			})
		},
	}
	k.changeFlags(cmd)
	k.confirmFlag(cmd, `the word "compact"`)
	src.flags(cmd)
	cmd.Flags().DurationVar(&older, "older-than", 24*time.Hour, "keep keys that are younger")
	return cmd
}

// jsonCompact is the JSON output of compact. Its fields stay as they are; others may come.
type jsonCompact struct {
	DryRun  bool `json:"dry_run"`
	Keys    int  `json:"keys"`
	Young   int  `json:"young"`
	InUse   int  `json:"in_use"`
	Deleted int  `json:"deleted"`
}

func (k *keysFlags) printCompact(cmd *cobra.Command, r keyring.CompactReport) error {
	if k.json {
		return printJSON(cmd.OutOrStdout(), jsonCompact{k.dryRun, r.Keys, r.Young, r.InUse, r.Deleted})
	}
	did := "deleted"
	if k.dryRun {
		did = "would delete"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %d of %s of write-only programs; %d are in use, %d are too young\n", did, r.Deleted, count(r.Keys, "key"), r.InUse, r.Young)
	return err
}
