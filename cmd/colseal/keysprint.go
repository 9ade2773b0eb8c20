package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/colseal/colseal/keyring"
)

// jsonKey is a key in the JSON output. Its fields stay as they are; others may come.
type jsonKey struct {
	ID            string        `json:"id"`
	Purpose       string        `json:"purpose"`
	Scope         string        `json:"scope"`
	Epoch         int64         `json:"epoch"`
	State         keyring.State `json:"state"`
	KEK           string        `json:"kek"`
	SealsReserved uint64        `json:"seals_reserved"`
	CreatedAt     *time.Time    `json:"created_at"`
	SealsFrom     *time.Time    `json:"seals_from"`
	SettledFrom   *time.Time    `json:"settled_from,omitempty"`
	RetiredAt     *time.Time    `json:"retired_at,omitempty"`
	RevokedAt     *time.Time    `json:"revoked_at,omitempty"`
	DestroyedAt   *time.Time    `json:"destroyed_at,omitempty"`
	ChangedBy     string        `json:"changed_by"`
	ChangedWhy    string        `json:"changed_why"`
	Pin           string        `json:"pin,omitempty"`     // of an inbox; printed by `keys inbox` only, which checks it
	Inbox         string        `json:"inbox,omitempty"`   // of a writer's key: the inbox that it is encrypted to
	Invalid       string        `json:"invalid,omitempty"` // why the key is not used
}

func jsonKeys(keys []keyring.Key) []jsonKey {
	out := make([]jsonKey, len(keys))
	for i, k := range keys {
		out[i] = jsonKey{
			ID: keyID(k.ID), Purpose: string(k.Purpose), Scope: k.Scope, Epoch: k.Epoch, State: k.State, KEK: k.Wrapped.KeyID,
			SealsReserved: k.SealsReserved, CreatedAt: unlessZero(k.CreatedAt), SealsFrom: unlessZero(k.SealsFrom),
			SettledFrom: unlessZero(k.SettledFrom), RetiredAt: unlessZero(k.RetiredAt), RevokedAt: unlessZero(k.RevokedAt),
			DestroyedAt: unlessZero(k.DestroyedAt), ChangedBy: k.ChangedBy, ChangedWhy: k.ChangedWhy,
		}
		if k.WrappedTo != 0 {
			out[i].Inbox = keyID(k.WrappedTo)
		}
		if k.State == keyring.StateInvalid {
			out[i].Invalid = fault(k)
		}
	}
	return out
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printTable prints rows of cells in columns.
func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = harmless(row[i])
		}
		// No blanks at the end of lines.
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	return t.Flush()
}

// harmless quotes a text that a terminal may take for a command: whoever may add rows to the
// keyring chooses scopes and the names of key encryption keys.
func harmless(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.Quote(s)
	}
	return s
}

func printKeys(w io.Writer, keys []keyring.Key) error {
	rows := [][]string{{"KEY", "PURPOSE", "SCOPE", "EPOCH", "STATE", "CREATED", "KEK"}}
	for _, k := range keys {
		epoch, kek := strconv.FormatInt(k.Epoch, 10), k.Wrapped.KeyID
		if k.Purpose == keyring.PurposeWriter {
			epoch, kek = "", "inbox "+keyID(k.WrappedTo)
		}
		rows = append(rows, []string{keyID(k.ID), string(k.Purpose), scopeName(k.Scope), epoch, stateOf(k), day(k.CreatedAt), kek})
	}
	return printTable(w, rows)
}

// stateOf returns a key's state, with the time that matters in it.
func stateOf(k keyring.Key) string {
	switch k.State {
	case keyring.StateNext:
		return "next, seals from " + minute(k.SealsFrom)
	case keyring.StateDestroyed:
		return "destroyed " + day(k.DestroyedAt)
	case keyring.StateRevoked:
		return "revoked " + day(k.RevokedAt)
	}
	return string(k.State)
}

// scopeName returns a scope as tables show it.
func scopeName(scope string) string {
	if scope == "" {
		return "(default)"
	}
	return scope
}

// scopeText returns a scope in a sentence.
func scopeText(scope string) string {
	if scope == "" {
		return "the default scope"
	}
	return "scope " + strconv.Quote(scope)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02")
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

// span returns a duration for people, in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", (d+12*time.Hour)/(24*time.Hour))
}

// count returns a number of things: "1 key", "3 keys".
func count[T int | int64](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// changed is the JSON output of the commands that change keys: the keys as they are then. Its
// fields stay as they are; others may come.
type changed struct {
	Action string    `json:"action"`
	DryRun bool      `json:"dry_run"`
	Keys   []jsonKey `json:"keys"`
}

// report prints what a command did, as JSON or as lines for people.
func (k *keysFlags) report(w io.Writer, action string, keys []keyring.Key, text ...string) error {
	if k.json {
		return printJSON(w, changed{Action: action, DryRun: k.dryRun, Keys: jsonKeys(keys)})
	}
	for _, line := range text {
		fmt.Fprintln(w, line)
	}
	return nil
}
