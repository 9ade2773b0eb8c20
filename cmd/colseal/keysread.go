package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

func newKeysList(k *keysFlags) *cobra.Command {
	var purpose, scope string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys with their states",
		Long: "List the keys with their states, by scope, purpose and epoch.\n\n" +
			"active     seals, and opens\n" +
			"next       a search key that is searched for already, and will seal\n" +
			"searched   a search key that no longer seals, and is searched for until it is retired\n" +
			"retired    opens only\n" +
			"revoked    opens only, for a cause; a search key is searched for until it is retired\n" +
			"destroyed  does nothing any more",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := keyFilter(cmd, purpose, scope)
			if err != nil {
				return err
			}
			return k.with(cmd, false, func(ctx context.Context, o *opened) error {
				keys, err := o.admin.Keys(ctx, f)
				if err != nil {
					return err
				}
				if k.json {
					return printJSON(cmd.OutOrStdout(), struct {
						Keys []jsonKey `json:"keys"`
					}{jsonKeys(keys)})
				}
				if len(keys) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "no keys")
					return nil
				}
				return printKeys(cmd.OutOrStdout(), keys)
			})
		},
	}
	filterFlags(cmd, &purpose, &scope)
	return cmd
}

func filterFlags(cmd *cobra.Command, purpose, scope *string) {
	cmd.Flags().StringVar(purpose, "purpose", "", "data, search, inbox or writer (default all)")
	cmd.Flags().StringVar(scope, "scope", "", `one scope; "" is the default one (default all)`)
}

func keyFilter(cmd *cobra.Command, purpose, scope string) (keyring.Filter, error) {
	p, err := keyring.Purpose(purpose), error(nil)
	if p != keyring.PurposeInbox && p != keyring.PurposeWriter {
		p, err = parsePurpose(purpose, true)
	}
	f := keyring.Filter{Purpose: p}
	if cmd.Flags().Changed("scope") {
		f.Scope = &scope
	}
	return f, err
}

// settings are what the programs are configured with, which the keyring does not say.
type settings struct {
	rotateEvery time.Duration
	maxSeals    uint64
}

// jsonStatus is the JSON output of status. Its fields stay as they are; others may come.
type jsonStatus struct {
	Keyring string     `json:"keyring"` // its id; "" if it is new
	KMS     jsonKMS    `json:"kms"`
	KEKs    []jsonKEK  `json:"keks"`
	Rings   []jsonRing `json:"rings"`
	// Attention is what needs somebody; the exit status is 1 if there is any.
	Attention []string `json:"attention"`
}

type jsonKMS struct {
	Asked   bool   `json:"asked"`
	Answers bool   `json:"answers"`
	Error   string `json:"error,omitempty"`
}

type jsonKEK struct {
	ID   string `json:"id"`
	Keys int    `json:"keys"`
}

// jsonRing is the keys of a purpose and scope.
type jsonRing struct {
	Scope         string     `json:"scope"`
	Purpose       string     `json:"purpose"`
	Destroyed     bool       `json:"destroyed"` // nothing can be sealed in it any more
	SealsWith     string     `json:"seals_with"`
	Epoch         int64      `json:"epoch"`
	AgeSeconds    int64      `json:"age_seconds"`
	RotatesAt     *time.Time `json:"rotates_at,omitempty"` // data keys: at the latest
	SealsReserved uint64     `json:"seals_reserved"`
	SealsShare    float64    `json:"seals_share"` // of max-seals
	Searched      []string   `json:"searched,omitempty"`
	Keys          int        `json:"keys"`
	Active        int        `json:"active"`
	Retired       int        `json:"retired"`
	Revoked       int        `json:"revoked"`
	Wiped         int        `json:"wiped"` // keys that were destroyed
	Invalid       int        `json:"invalid"`
}

func newKeysStatus(k *keysFlags) *cobra.Command {
	var purpose, scope string
	set := settings{}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the keys stand: which ones seal, what is due, whether KMS answers",
		Long: "Say how the keys stand: which ones seal, how old they are, when the next ones are due, how many seals are taken,\n" +
			"which key encryption keys wrap them, and whether KMS answers.\n\n" +
			"It ends with what needs you, and the exit status is 1 then.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := keyFilter(cmd, purpose, scope)
			if err != nil {
				return err
			}
			if set.rotateEvery <= 0 || set.maxSeals == 0 {
				return fmt.Errorf("--rotate-every and --max-seals are more than 0, as in the programs' keycache.Config")
			}
			return k.with(cmd, false, func(ctx context.Context, o *opened) error {
				keys, err := o.admin.Keys(ctx, f)
				if err != nil {
					return err
				}
				st := status(keys, set)
				if st.Keyring, err = o.store.ID(ctx); err != nil {
					return err
				}
				st.KMS = askKMS(ctx, o.kms)
				if st.KMS.Asked && !st.KMS.Answers {
					st.Attention = append(st.Attention, "KMS does not answer: "+st.KMS.Error)
				}
				st.Attention = append(st.Attention, foreign(st.KEKs, o.kms)...)
				if err := st.print(cmd.OutOrStdout(), k.json); err != nil {
					return err
				}
				if len(st.Attention) > 0 {
					return errFound
				}
				return nil
			})
		},
	}
	filterFlags(cmd, &purpose, &scope)
	k.kmsFlag(cmd, "the key encryption key, to see whether it answers")
	cmd.Flags().DurationVar(&set.rotateEvery, "rotate-every", 30*24*time.Hour, "RotateEvery in the programs' keycache.Config")
	cmd.Flags().Uint64Var(&set.maxSeals, "max-seals", 1<<31, "MaxSeals in the programs' keycache.Config")
	return cmd
}

// askKMS finds out whether a key service can use its key encryption key now.
func askKMS(ctx context.Context, w kms.Wrapper) jsonKMS {
	c, ok := w.(kms.Checker)
	if !ok {
		return jsonKMS{}
	}
	if err := c.Check(ctx); err != nil {
		return jsonKMS{Asked: true, Error: err.Error()}
	}
	return jsonKMS{Asked: true, Answers: true}
}

// foreign names the key encryption keys that w is known not to reach: the keys under them would not
// open.
func foreign(keks []jsonKEK, w kms.Wrapper) []string {
	m, ok := w.(kms.Matcher)
	if !ok {
		return nil
	}
	var out []string
	for _, k := range keks {
		if !m.Matches(kms.Wrapped{KeyID: k.ID}) {
			out = append(out, fmt.Sprintf("%s, which wraps %s, is not what --kms or %s names", k.ID, count(k.Keys, "key"), kmsEnv))
		}
	}
	return out
}

// status sums the keys up; they come by scope and purpose.
func status(keys []keyring.Key, set settings) *jsonStatus {
	st := &jsonStatus{KEKs: []jsonKEK{}, Rings: []jsonRing{}, Attention: []string{}}
	keks := map[string]int{}
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && keys[n].Scope == keys[0].Scope && keys[n].Purpose == keys[0].Purpose {
			n++
		}
		ring, attention := ringStatus(keys[:n], set)
		st.Rings = append(st.Rings, ring)
		st.Attention = append(st.Attention, attention...)
		for _, k := range keys[:n] {
			if k.State != keyring.StateDestroyed && k.State != keyring.StateInvalid && k.Purpose != keyring.PurposeWriter {
				keks[k.Wrapped.KeyID]++
			}
		}
		keys = keys[n:]
	}
	for id, n := range keks {
		st.KEKs = append(st.KEKs, jsonKEK{id, n})
	}
	slices.SortFunc(st.KEKs, func(a, b jsonKEK) int { return strings.Compare(a.ID, b.ID) })
	return st
}

func ringStatus(keys []keyring.Key, set settings) (r jsonRing, attention []string) {
	newest := keys[len(keys)-1]
	r = jsonRing{Scope: newest.Scope, Purpose: string(newest.Purpose), Destroyed: newest.State == keyring.StateDestroyed, Keys: len(keys)}
	var searched []keyring.Key
	for _, k := range keys {
		switch k.State {
		case keyring.StateActive:
			r.Active++
		case keyring.StateRetired:
			r.Retired++
		case keyring.StateRevoked:
			r.Revoked++
		case keyring.StateDestroyed:
			r.Wiped++
		case keyring.StateInvalid:
			r.Invalid++
			attention = append(attention, fault(k))
		}
		if k.Searched() {
			searched = append(searched, k)
			r.Searched = append(r.Searched, keyID(k.ID))
		}
	}
	newestFirst := slices.Clone(keys)
	slices.Reverse(newestFirst)
	if serving := keyring.Sealing(newestFirst); len(serving) > 0 && newest.Purpose != keyring.PurposeWriter {
		k := serving[0]
		r.SealsWith, r.Epoch, r.AgeSeconds, r.SealsReserved = keyID(k.ID), k.Epoch, int64(k.Age.Seconds()), k.SealsReserved
		if k.Purpose == keyring.PurposeData {
			due := k.CreatedAt.Add(set.rotateEvery)
			r.RotatesAt, r.SealsShare = &due, float64(k.SealsReserved)/float64(set.maxSeals)
		}
	}
	if len(attention) > maxFaults {
		attention = append(attention[:maxFaults], fmt.Sprintf("%s: %d more such keys", scopeText(r.Scope), len(attention)-maxFaults))
	}
	if len(searched) > 1 {
		old, next := searched[0], searched[len(searched)-1]
		attention = append(attention, fmt.Sprintf("%s: the search key is being changed: from %s on `colseal keys reseal --purpose search`, and then `colseal keys retire %s`",
			scopeText(r.Scope), minute(next.SettledFrom), keyID(old.ID)))
	}
	return r, attention
}

// maxFaults bounds the invalid keys of a ring that are told one by one.
const maxFaults = 5

// fault says why a key is invalid.
func fault(k keyring.Key) string {
	err := cmp.Or(k.Invalid, k.Stray)
	return strings.TrimPrefix(err.Error(), "keyring: ")
}

func (st *jsonStatus) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, st)
	}
	if st.Keyring != "" {
		fmt.Fprintf(w, "keyring %s\n\n", st.Keyring)
	}
	switch {
	case len(st.Rings) == 0:
		fmt.Fprintln(w, "no keys: the first use of a sealed column makes them, or colseal keys init --warm")
	default:
		rows := [][]string{{"SCOPE", "PURPOSE", "SEALS WITH", "EPOCH", "AGE", "ROTATES", "SEALS", "OTHER KEYS"}}
		for _, r := range st.Rings {
			rows = append(rows, r.row())
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
		rows = [][]string{{"KEK", "WRAPS"}}
		for _, k := range st.KEKs {
			rows = append(rows, []string{k.ID, count(k.Keys, "key")})
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	switch {
	case !st.KMS.Asked:
		fmt.Fprintln(w, "KMS was not asked: give --kms")
	case st.KMS.Answers:
		fmt.Fprintln(w, "KMS answers")
	}
	for _, a := range st.Attention {
		fmt.Fprintln(w, "attention:", a)
	}
	return nil
}

func (r jsonRing) row() []string {
	if r.Destroyed {
		return []string{scopeName(r.Scope), r.Purpose, "destroyed", "", "", "", "", ""}
	}
	age := time.Duration(r.AgeSeconds) * time.Second
	rotates, taken := "when told to", "not counted"
	if r.RotatesAt != nil {
		rotates = "now, at its next use"
		if left := time.Until(*r.RotatesAt); left > 0 {
			rotates = "in " + span(left)
		}
		taken = fmt.Sprintf("%d (%.2f%%)", r.SealsReserved, 100*r.SealsShare)
	}
	with, epoch, old := r.SealsWith, strconv.FormatInt(r.Epoch, 10), span(age)
	if r.Purpose == string(keyring.PurposeWriter) {
		return []string{scopeName(r.Scope), r.Purpose, fmt.Sprintf("%d of programs", r.Active), "", "", "each hour", "", r.others()}
	}
	if with == "" {
		with, epoch, old, rotates, taken = "none yet", "", "", "at its next use", ""
	}
	return []string{scopeName(r.Scope), r.Purpose, with, epoch, old, rotates, taken, r.others()}
}

// others counts the keys that do not seal.
func (r jsonRing) others() string {
	var parts []string
	if n := len(r.Searched); n > 1 {
		parts = append(parts, count(n, "key")+" searched for")
	}
	for _, c := range []struct {
		n    int
		what string
	}{{r.Retired, "retired"}, {r.Revoked, "revoked"}, {r.Wiped, "destroyed"}, {r.Invalid, "invalid"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}
