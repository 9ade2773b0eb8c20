// Package audit names what Colseal tells a log/slog logger: one list of events with
// stable names, levels and attributes, for people who search logs and for rules that
// act on them. The page docs/operating.md shows the list; a test holds them together.
//
// An event names tables, columns, keys by their id, scopes, and classes of errors. It
// never holds a value, a key, a DSN, or a statement's text.
package audit

import "log/slog"

// An Event is one kind of record. Its name is the record's message.
type Event struct {
	Name  string
	Level slog.Level
	Attrs []string // the keys that its records may have, in order
}

// The attributes' keys.
const (
	KeyID      = "key_id"      // of the data key, 8 hexadecimal digits
	Purpose    = "purpose"     // data or search
	Scope      = "scope"       // as in the keyring; "" is the default one
	Epoch      = "epoch"       // within purpose and scope
	KEK        = "kek"         // the KEK that wraps the key now
	OldKEK     = "old_kek"     // the one that wrapped it before
	By         = "by"          // who asked for it, as the caller said
	Why        = "why"         // the reason that was given
	Op         = "op"          // generate, unwrap or rewrap
	ErrorClass = "error_class" // a short stable word
	ErrorText  = "error"       // for people; see Failure
	Table      = "table"
	Column     = "column"
	Class      = "class"      // of a refusal: a short stable word
	Reason     = "reason"     // of a refusal: for people
	Line       = "line"       // in the statement, from 1
	Position   = "position"   // in that line, in characters, from 1
	Statement  = "statement"  // a fingerprint; see Fingerprint
	Suppressed = "suppressed" // how many records like this one were left out since the last
	Because    = "because"
)

var keyAttrs = []string{KeyID, Purpose, Scope, Epoch, KEK}

func with(attrs []string, more ...string) []string {
	return append(append([]string(nil), attrs...), more...)
}

// The events of a key's life. One of the first two stands for each key that is made.
var (
	KeyCreated   = Event{"colseal.key.created", slog.LevelInfo, with(keyAttrs, By, Why)}   // a scope's first key
	KeyRotated   = Event{"colseal.key.rotated", slog.LevelInfo, with(keyAttrs, By, Why)}   // a key that follows another
	KeyRevoked   = Event{"colseal.key.revoked", slog.LevelWarn, with(keyAttrs, By, Why)}   // it never seals again
	KeyRetired   = Event{"colseal.key.retired", slog.LevelInfo, with(keyAttrs, By, Why)}   // a search key that is no longer searched for
	KeyDestroyed = Event{"colseal.key.destroyed", slog.LevelWarn, with(keyAttrs, By, Why)} // its wrapped form is gone
	KeyRewrapped = Event{"colseal.key.rewrapped", slog.LevelInfo, with(keyAttrs, OldKEK, By, Why)}
)

// The events of the cache of plaintext keys, and of the way to KMS.
var (
	KeyDropped     = Event{"colseal.key.dropped", slog.LevelWarn, with(keyAttrs, ErrorClass, ErrorText)} // from memory, at a definite refusal
	KeyStale       = Event{"colseal.key.stale", slog.LevelWarn, with(keyAttrs, ErrorClass, ErrorText, Suppressed)}
	KeyDelayed     = Event{"colseal.key.delayed", slog.LevelWarn, []string{Purpose, Scope, Epoch, ErrorClass, ErrorText, Suppressed}}
	KMSRefused     = Event{"colseal.kms.refused", slog.LevelError, []string{Op, KeyID, Purpose, Scope, Epoch, KEK, ErrorClass, ErrorText, Suppressed}}
	KMSPaused      = Event{"colseal.kms.paused", slog.LevelWarn, nil} // the circuit breaker opened
	KMSResumed     = Event{"colseal.kms.resumed", slog.LevelInfo, nil}
	KeyringCreated = Event{"colseal.keyring.created", slog.LevelInfo, []string{Table}}
)

// The events of statements and cells.
var (
	Refused       = Event{"colseal.refused", slog.LevelWarn, []string{Class, Reason, Table, Column, Line, Position, Statement, Suppressed}}
	CellRejected  = Event{"colseal.cell.rejected", slog.LevelError, []string{Table, Column, ErrorClass, Suppressed}}
	PlaintextRead = Event{"colseal.plaintext.read", slog.LevelWarn, []string{Table, Column, Suppressed}}
	CatalogReread = Event{"colseal.catalog.reread", slog.LevelDebug, []string{Because}}
)

// Events lists all events, in the order of the documentation.
func Events() []Event {
	return []Event{
		KeyCreated, KeyRotated, KeyRevoked, KeyRetired, KeyDestroyed, KeyRewrapped,
		KeyDropped, KeyStale, KeyDelayed, KMSRefused, KMSPaused, KMSResumed, KeyringCreated,
		Refused, CellRejected, PlaintextRead, CatalogReread,
	}
}
