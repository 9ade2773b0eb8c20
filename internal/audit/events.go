// Package audit names what Colseal tells a log/slog logger: one list of events with
// stable names, levels and attributes, for people who search logs and for rules that
// act on them. The page docs/events.md shows the list; a test holds them together.
//
// An event names tables, columns, keys by their id, scopes, and classes of errors. It
// never holds a value, a key, a DSN, or a statement's text.
package audit

import (
	"fmt"
	"log/slog"
	"slices"
)

// An Event is one kind of record. Its name is the record's message.
type Event struct {
	Name  string
	Level slog.Level
	Attrs []string // the keys that its records may have, in order
	// Meaning says when it is emitted.
	Meaning string
}

// The attributes' keys.
const (
	KeyID      = "key_id"      // of the data key, 8 hexadecimal digits
	Purpose    = "purpose"     // data, search, inbox or writer
	Scope      = "scope"       // as in the keyring; "" is the default one
	Epoch      = "epoch"       // within purpose and scope
	KEK        = "kek"         // the KEK that wraps the key now
	OldKEK     = "old_kek"     // the one that wrapped it before
	By         = "by"          // who asked for it, as the caller said
	Why        = "why"         // the reason that was given
	Keyring    = "keyring"     // the id of a keyring
	OldKeyring = "old_keyring" // the one that it had before
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
	Missing    = "missing"    // how many KEKs did not do it
	Because    = "because"
)

// events are all that were defined, in the order of their definition below.
var events []Event

func event(name string, level slog.Level, meaning string, attrs ...string) Event {
	e := Event{Name: name, Level: level, Attrs: attrs, Meaning: meaning}
	events = append(events, e)
	return e
}

// Events lists all events, in the order of the documentation.
func Events() []Event { return slices.Clone(events) }

// The events of a key's life. One of the first two stands for each key that is made.
var (
	KeyCreated = event("colseal.key.created", slog.LevelInfo, "a scope's first key was made",
		KeyID, Purpose, Scope, Epoch, KEK, By, Why)
	KeyRotated = event("colseal.key.rotated", slog.LevelInfo, "a key was made that follows another",
		KeyID, Purpose, Scope, Epoch, KEK, By, Why)
	KeyRevoked = event("colseal.key.revoked", slog.LevelWarn, "an operator took a key out of use; it opens what it sealed",
		KeyID, Purpose, Scope, Epoch, KEK, By, Why)
	KeyRetired = event("colseal.key.retired", slog.LevelInfo, "a search key is no longer searched for; it opens what it sealed",
		KeyID, Purpose, Scope, Epoch, KEK, By, Why)
	KeyDestroyed = event("colseal.key.destroyed", slog.LevelWarn, "a key's wrapped form was wiped: what it sealed is gone",
		KeyID, Purpose, Scope, Epoch, KEK, By, Why)
	KeyDeleted = event("colseal.key.deleted", slog.LevelInfo, "an operator deleted the row of a write-only program's key, which no cell is under",
		KeyID, Purpose, Scope, Epoch, KEK, By, Why)
	KeyRewrapped = event("colseal.key.rewrapped", slog.LevelInfo, "a key was wrapped under another KEK",
		KeyID, Purpose, Scope, Epoch, KEK, OldKEK, By, Why)
)

// The events of the cache of plaintext keys, and of the way to KMS.
var (
	KeyDropped = event("colseal.key.dropped", slog.LevelWarn, "a key was dropped from memory, because KMS refused it or it was destroyed",
		KeyID, Purpose, Scope, Epoch, KEK, ErrorClass, ErrorText)
	KeyStale = event("colseal.key.stale", slog.LevelWarn, "keys serve past `MaxAge`, because KMS or the keyring is unavailable; one of them is named",
		KeyID, Purpose, Scope, Epoch, KEK, ErrorClass, ErrorText, Suppressed)
	KeyDelayed = event("colseal.key.delayed", slog.LevelWarn, "the next key could not be made ahead of time; it is tried again",
		Purpose, Scope, Epoch, ErrorClass, ErrorText, Suppressed)
	KeyInvalid = event("colseal.key.invalid", slog.LevelError, "a row of the keyring cannot be a key's, or KMS does not unwrap it; it is passed over, or an error of its scope. Find out who wrote it",
		KeyID, Purpose, Scope, Epoch, KEK, ErrorClass, ErrorText, Suppressed)
	KeyRecovered = event("colseal.key.recovered", slog.LevelError, "the keyring had lost a key's row, and a program that held the key stored it again: after a failover or a restore. See docs/failover.md for what to do",
		KeyID, Purpose, Scope, Epoch, KEK)
	Panicked = event("colseal.panic", slog.LevelError, "a panic in the background was caught: a fault of Colseal's or of a key service's, to be reported",
		ErrorText, Suppressed)
	KMSRefused = event("colseal.kms.refused", slog.LevelError, "KMS gave a definite no",
		Op, KeyID, Purpose, Scope, Epoch, KEK, ErrorClass, ErrorText, Suppressed)
	KMSPaused     = event("colseal.kms.paused", slog.LevelWarn, "after several failures in a row the circuit breaker keeps requests from KMS")
	KMSResumed    = event("colseal.kms.resumed", slog.LevelInfo, "KMS answers again")
	KMSPassedOver = event("colseal.kms.passed_over", slog.LevelWarn, "`kms.Multi`: a key was unwrapped by another KEK than the first",
		KEK, Missing, ErrorClass, ErrorText)
	KMSWrapsMissing = event("colseal.kms.wraps_missing", slog.LevelWarn, "`kms.Multi`: a new key lacks wraps; rewrap it when the KEK answers again",
		KEK, Missing, ErrorClass, ErrorText)
	KeyringCreated = event("colseal.keyring.created", slog.LevelInfo, "`AutoCreateKeyTable` made the key table", Table)
	KeyringAdopted = event("colseal.keyring.adopted", slog.LevelWarn, "an operator gave a copy of a keyring an id of its own",
		Keyring, OldKeyring, By, Why)
)

// The events of statements and cells.
var (
	Refused = event("colseal.refused", slog.LevelWarn, "a statement was refused, and not sent",
		Class, Reason, Table, Column, Line, Position, Statement, Suppressed)
	Observed = event("colseal.observed", slog.LevelWarn, "a column is in the stage `copy`: the statement was sent, and will be refused in `sealed`; or a value was not copied to the companion",
		Class, Reason, Table, Column, Line, Position, Statement, Suppressed)
	CellRejected = event("colseal.cell.rejected", slog.LevelError, "a stored value is no cell, was altered, or belongs elsewhere",
		Table, Column, ErrorClass, Suppressed)
	Unscoped = event("colseal.scope.missing", slog.LevelWarn, "a value was sealed, to be stored or searched for, without a scope, and the keyring has scopes: one may have been forgotten",
		Table, Column, Suppressed)
	CatalogReread = event("colseal.catalog.reread", slog.LevelDebug, "what is known of tables and columns is read again", Because)
)

// Key returns the attributes that name a data key. Empty ones are left out, but not the
// scope of a key whose purpose is known: "" is the name of the default one.
func Key(id uint32, purpose, scope string, epoch int64, kek string) []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	if id != 0 {
		attrs = append(attrs, slog.String(KeyID, fmt.Sprintf("%08x", id)))
	}
	if purpose != "" {
		attrs = append(attrs, slog.String(Purpose, purpose), slog.String(Scope, scope))
	}
	if epoch != 0 {
		attrs = append(attrs, slog.Int64(Epoch, epoch))
	}
	if kek != "" {
		attrs = append(attrs, slog.String(KEK, kek))
	}
	return attrs
}

// KeyMade returns the event of a key that was just made.
func KeyMade(epoch int64) Event {
	if epoch > 1 {
		return KeyRotated
	}
	return KeyCreated
}
