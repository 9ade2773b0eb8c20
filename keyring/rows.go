package keyring

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/kms"
)

// purposes are those of keys.
var purposes = []Purpose{PurposeData, PurposeSearch, PurposeInbox, PurposeWriter}

// Whoever may write the keyring's table may write nonsense into it. So nothing in a row is
// believed: the queries here give an answer for any row that the table can hold, and
// what cannot be a key's is the error of that row alone, [Key.Invalid].

// The bounds of a row. More is not read into memory.
const (
	maxKEK     = 8 << 10   // bytes of kek_id: kms.Multi lists all of its KEKs there
	maxWrapped = 128 << 10 // bytes of wrapped: kms.Multi holds up to 16 wraps
	maxPublic  = 4 << 10   // bytes of public
	maxWords   = 1000      // characters of changed_by and changed_why
	maxSeals   = 1 << 32   // seals_reserved

	// Times further from the database's present than that are nobody's. They also
	// keep a time.Duration from overflowing.
	clockSlack = time.Minute // what clocks are corrected by

	maxPast   = 200 * 365 * 24 * time.Hour
	maxFuture = 366 * 24 * time.Hour
)

// rowColumns returns the result columns that scanKey reads, of a table k, and of a table i
// that has the row with the keyring's id. destroyed and
// stray are expressions: whether the key's scope was destroyed (0 or 1), and how the row
// stands to its ring (one of the placement constants).
func (s *Store) rowColumns(destroyed, stray string) string {
	d := s.dialect
	size, publicSize := "octet_length(k.wrapped)", "octet_length(k.public)"
	if d == DialectSQLite {
		size, publicSize = "length(CAST(k.wrapped AS BLOB))", "length(CAST(k.public AS BLOB))"
	}
	blob := func(expr string) string { // whatever bytea_output is
		if d == DialectSQLite {
			return expr
		}
		return "pg_catalog.encode(" + expr + ", 'hex')"
	}
	is := func(column string) string { return "CASE WHEN " + column + " IS NULL THEN 0 ELSE 1 END" }
	return strings.Join([]string{
		blob(fmt.Sprintf("substr(i.wrapped, 1, %d)", idSize+1)), "i.purpose",
		"CASE WHEN EXISTS (SELECT 1 FROM " + s.table + " WHERE scope <> '') THEN 1 ELSE 0 END", "k.key_id", "k.purpose", fmt.Sprintf("substr(k.scope, 1, %d)", maxScope+1), "k.epoch",
		fmt.Sprintf("substr(k.kek_id, 1, %d)", maxKEK+1),
		blob(fmt.Sprintf("CASE WHEN %s <= %d THEN k.wrapped END", size, maxWrapped)), size, "k.seals_reserved",
		clock(d), millis(d, "k.created_at"), millis(d, "k.seals_from"),
		is("k.retired_at"), millis(d, "k.retired_at"), is("k.revoked_at"), millis(d, "k.revoked_at"),
		is("k.destroyed_at"), millis(d, "k.destroyed_at"), "CASE WHEN k.recovered THEN 1 ELSE 0 END", destroyed, stray,
		blob(fmt.Sprintf("CASE WHEN %s <= %d THEN k.public END", publicSize, maxPublic)), publicSize, "k.wrapped_to",
		fmt.Sprintf("substr(k.changed_by, 1, %d)", maxWords), fmt.Sprintf("substr(k.changed_why, 1, %d)", maxWords),
	}, ", ")
}

// How a row stands to its ring.
const (
	placed    = 0
	beyondGap = 1 // its epoch does not follow those of the ring
	hasty     = 2 // a search key that seals at once, while an older one is searched for
)

// strayColumn returns the expression for a row's placement. placeColumn is the row's number in
// its ring, by epoch.
func (s *Store) strayColumn(placeColumn string) string {
	return fmt.Sprintf("CASE WHEN k.purpose <> 'writer' AND k.epoch <> %s THEN %d WHEN k.purpose = 'search' AND NOT k.recovered AND k.seals_from <= k.created_at AND EXISTS"+
		" (SELECT 1 FROM %s o WHERE o.purpose = k.purpose AND o.scope = k.scope AND o.epoch < k.epoch AND o.destroyed_at IS NULL AND NOT o.recovered"+
		" AND (o.retired_at IS NULL OR o.retired_at > k.created_at)) THEN %d ELSE %d END",
		placeColumn, beyondGap, s.table, hasty, placed)
}

// destroyedScopes returns the subquery for the scopes that were destroyed, among those of a
// condition on the table: a scope was if any of its rows was. Whoever may only insert makes
// no such row, and does not undo one by further rows. That a key
// has one of two purposes is said to let the database find a scope by the index.
func (s *Store) destroyedScopes(condition string) string {
	return "(SELECT scope FROM " + s.table + " WHERE destroyed_at IS NOT NULL AND purpose IN ('data', 'search') AND " + condition + ")"
}

// row is a row as the database gives it. Its parts are of any type: SQLite's columns hold
// what was put there.
type row struct {
	keyring, keyringPurpose, scoped                         any
	id, purpose, scope, epoch, kek, wrapped, size, reserved any
	clock, created, from                                    any
	retired, retiredAt, revoked, revokedAt                  any
	destroyed, destroyedAt, recovered                       any
	scopeDestroyed, stray                                   any
	public, publicSize, wrappedTo                           any
	by, why                                                 any
}

func (r *row) scan(rows *sql.Rows, d dialect.Dialect) error {
	err := rows.Scan(&r.keyring, &r.keyringPurpose, &r.scoped, &r.id, &r.purpose, &r.scope, &r.epoch, &r.kek, &r.wrapped, &r.size, &r.reserved,
		&r.clock, &r.created, &r.from, &r.retired, &r.retiredAt, &r.revoked, &r.revokedAt,
		&r.destroyed, &r.destroyedAt, &r.recovered, &r.scopeDestroyed, &r.stray, &r.public, &r.publicSize, &r.wrappedTo, &r.by, &r.why)
	if d != DialectSQLite {
		for _, v := range []*any{&r.keyring, &r.wrapped, &r.public} {
			if b, err := hex.DecodeString(asText(*v)); *v != nil && err == nil {
				*v = b
			}
		}
	}
	return err
}

// key validates a row.
func (r *row) key() Key {
	v := validation{}
	k := Key{
		ID:            uint32(v.integer("key_id", r.id, 1, 1<<32-1)), //nolint:gosec // bounded
		Purpose:       Purpose(v.text("purpose", r.purpose)),
		Scope:         v.text("scope", r.scope),
		Epoch:         v.integer("epoch", r.epoch, 1, 1<<62),
		SealsReserved: uint64(v.integer("seals_reserved", r.reserved, 0, maxSeals)), //nolint:gosec // not negative
		Retired:       isOne(r.retired),
		Revoked:       isOne(r.revoked),
		Recovered:     isOne(r.recovered),
		Destroyed:     isOne(r.destroyed) || isOne(r.scopeDestroyed),
		ChangedBy:     printable(asText(r.by)),
		ChangedWhy:    printable(asText(r.why)),
	}
	if !slices.Contains(purposes, k.Purpose) {
		v.fail("purpose is none of %v", purposes)
		k.Purpose = Purpose(printable(string(k.Purpose)))
	}
	if CheckScope(k.Scope) != nil {
		v.fail("scope cannot be the name of one")
		k.Scope = printable(k.Scope)
	}
	k.Wrapped.KeyID = v.text("kek_id", r.kek)
	v.kek(k.Wrapped.KeyID, k.Purpose == PurposeWriter || isOne(r.destroyed))
	k.Wrapped.KeyID = printable(k.Wrapped.KeyID)
	if !isOne(r.destroyed) {
		if k.Wrapped.KeyID != "" && k.Purpose == PurposeWriter {
			v.fail("kek_id of a writer's key is not empty")
		}
		k.Wrapped.Blob = v.blob("wrapped", r.wrapped, r.size, maxWrapped)
		v.inbox(&k, r)
	}
	// A key that was revoked never seals, whatever else its row says, but for search keys; nor does
	// one that was recovered: nobody knows what others reserved of it.
	k.Retired = k.Retired || k.Recovered || k.Revoked && k.Purpose != PurposeSearch
	now, ok := r.clock.(int64)
	if !ok {
		v.fail("the database does not tell its time")
	}
	k.CreatedAt, k.Age = v.time("created_at", r.created, now)
	k.SealsFrom, k.SealsFor = v.time("seals_from", r.from, now)
	// A clock that was set back makes a negative age. By a little, the key counts as new.
	// By more, nobody knows its age, so that it counts as too old to seal.
	if k.Age < -clockSlack {
		k.Age = maxPast
	}
	k.Age = max(k.Age, 0)
	for _, end := range []struct {
		column string
		is, at any
		time   *time.Time
	}{
		{"retired_at", r.retired, r.retiredAt, &k.RetiredAt},
		{"revoked_at", r.revoked, r.revokedAt, &k.RevokedAt},
		{"destroyed_at", r.destroyed, r.destroyedAt, &k.DestroyedAt},
	} {
		if isOne(end.is) {
			*end.time, _ = v.time(end.column, end.at, now)
		}
	}
	stray, _ := r.stray.(int64)
	k.placement = int(stray)
	switch k.placement {
	case beyondGap:
		k.Stray = k.invalid("its epoch does not follow those of its ring")
	case hasty:
		k.Stray = k.invalid("it is a second search key that seals before programs search for it")
	}
	if v.why != "" {
		k.Invalid = k.invalid(v.why)
	}
	return k
}

// invalid returns the error of a row that cannot be a key's.
func (k Key) invalid(why string) error {
	return &Error{Op: "read", Purpose: k.Purpose, KeyID: k.ID, Scope: k.Scope, Class: ErrKeyInvalid, Cause: errors.New(why),
		Hint: "find out who wrote this row of the keyring; restore it from a backup, or have the table's owner delete it if it never was a key's"}
}

// validation collects what is wrong with a row.
type validation struct{ why string }

func (v *validation) fail(format string, args ...any) {
	if v.why != "" {
		v.why += ", "
	}
	v.why += fmt.Sprintf(format, args...)
}

func (v *validation) integer(column string, value any, least, most int64) int64 {
	n, ok := value.(int64)
	if !ok || n < least || n > most {
		v.fail("%s is not within %d and %d", column, least, most)
		return least
	}
	return n
}

func (v *validation) text(column string, value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []byte:
		return string(value)
	}
	v.fail("%s is no text", column)
	return ""
}

func (v *validation) blob(column string, value, size any, most int) []byte {
	blob, _ := value.([]byte)
	if n, ok := size.(int64); len(blob) == 0 || !ok || n != int64(len(blob)) {
		v.fail("%s does not have 1 to %d bytes", column, most)
		return nil
	}
	return blob
}

// kek checks the name of a KEK; none says that there may be none.
func (v *validation) kek(name string, none bool) {
	switch {
	case name == "" && !none:
		v.fail("kek_id is empty")
	case len(name) > maxKEK || printable(name) != name:
		v.fail("kek_id cannot be the name of a KEK")
	}
}

// storable returns an error if a wrapped form of the key could not be read from the keyring again.
func (k Key) storable(op string, w kms.Wrapped) error {
	var v validation
	v.kek(w.KeyID, k.Purpose == PurposeWriter)
	if n := int64(len(w.Blob)); n > maxWrapped {
		v.blob("wrapped", nil, n, maxWrapped)
	} else {
		v.blob("wrapped", w.Blob, n, maxWrapped)
	}
	if v.why == "" {
		return nil
	}
	return &Error{Op: op, Purpose: k.Purpose, KeyID: k.ID, Scope: k.Scope, Class: ErrKeyInvalid, Cause: errors.New(v.why),
		Hint: "the key service, or the kms.Wrapper to it, answers with a wrapped key that is none: correct that"}
}

// inbox reads what only the rows of inboxes and of writers' keys have.
func (v *validation) inbox(k *Key, r *row) {
	if (r.public != nil || r.publicSize != nil) != (k.Purpose == PurposeInbox) {
		v.fail("it has a public key and is no inbox, or the other way round")
	} else if k.Purpose == PurposeInbox {
		k.Public = v.blob("public", r.public, r.publicSize, maxPublic)
		if _, err := inbox.ParsePublic(k.Public); err != nil && k.Public != nil {
			v.fail("public: %s", err.Error())
		}
	}
	switch {
	case (r.wrappedTo != nil) != (k.Purpose == PurposeWriter):
		v.fail("it is encrypted to an inbox and no writer's key, or the other way round")
	case k.Purpose == PurposeWriter:
		k.WrappedTo = uint32(v.integer("wrapped_to", r.wrappedTo, 1, 1<<32-1)) //nolint:gosec // bounded
		if k.Epoch != int64(k.ID) {
			v.fail("epoch is not key_id")
		}
	}
}

// time returns the time of a column, stored in milliseconds since 1970, and how long ago it was. A
// time out of bounds makes the row invalid.
func (v *validation) time(column string, value any, now int64) (time.Time, time.Duration) {
	at, ok := value.(int64)
	if ago := now - at; !ok || ago > maxPast.Milliseconds() || ago < -maxFuture.Milliseconds() {
		v.fail("%s is infinite or too far away", column)
		return time.Time{}, 0
	}
	return time.UnixMilli(at).UTC(), time.Duration(now-at) * time.Millisecond
}

func isOne(value any) bool {
	n, ok := value.(int64)
	return !ok || n != 0
}

func asText(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []byte:
		return string(value)
	}
	return ""
}

// printable returns text from the keyring with nothing in it that a terminal or a log
// could take for more than text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
