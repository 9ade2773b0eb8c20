package keyring

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
)

// A Ledger is what an [Admin] works on: the [Store], or one in memory for tests.
// Every method is one atomic step, and they do what the Store's do.
type Ledger interface {
	Identify(ctx context.Context, as string) (string, error)
	Ring(ctx context.Context, purpose Purpose, scope string) (Ring, error)
	Keys(ctx context.Context, ids []uint32) ([]Key, error)
	Insert(ctx context.Context, k Key) (bool, error)
	Rings(ctx context.Context, f Filter) ([]Key, error)
	End(ctx context.Context, id uint32, how Ending) (bool, error)
	Destroy(ctx context.Context, scope, by, why string) ([]uint32, error)
	DeleteWriters(ctx context.Context, ids []uint32, age time.Duration) (int, error)
	Swap(ctx context.Context, id uint32, old []byte, next kms.Wrapped) (bool, error)
	Adopt(ctx context.Context, a Adoption) (bool, error)
}

var _ Ledger = (*Store)(nil)

// A Filter picks keys. The zero Filter picks all of them.
type Filter struct {
	Purpose Purpose  // "" for both
	Scope   *string  // nil for all
	IDs     []uint32 // nil for all
}

// An Ending is a way to stop a key. Each demands that another key goes on.
type Ending struct {
	Kind EndingKind
	// Settled is how long the other key must have been sealing, for EndRetire; for
	// EndRevokeNext, how long it must be until this one begins to seal.
	Settled time.Duration
	By, Why string
}

// EndingKind says how a key is stopped.
type EndingKind uint8

// The kinds of an Ending.
const (
	EndRevokeData   EndingKind = iota // a newer data key exists, or another inbox
	EndRevokeSearch                   // a newer search key exists; this one is still searched for
	EndRevokeStray                    // nothing: the key is a stray or was recovered, and does not serve; or it is a writer's
	EndRevokeNext                     // an older search key exists, and this one has not begun to seal
	EndRetire                         // a newer key has been sealing for long enough
)

// picks reports whether the filter picks a key.
func (f Filter) picks(k Key) bool {
	return (f.Purpose == "" || f.Purpose == k.Purpose) && (f.Scope == nil || *f.Scope == k.Scope) &&
		(f.IDs == nil || slices.Contains(f.IDs, k.ID))
}

// Rings returns every key of the rings (purpose and scope) that have one which the
// filter picks, by scope, purpose and epoch.
func (s *Store) Rings(ctx context.Context, f Filter) ([]Key, error) {
	var (
		conditions []string
		args       []any
	)
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if f.Purpose != "" {
		conditions = append(conditions, "k.purpose = "+arg(string(f.Purpose)))
	}
	if f.Scope != nil {
		conditions = append(conditions, "k.scope = "+arg(*f.Scope))
	}
	// Many ids are looked for among all keys.
	if f.IDs != nil && len(f.IDs) <= idsPerQuery {
		marks := []string{"0"} // never an id: an empty list picks nothing
		for _, id := range f.IDs {
			marks = append(marks, arg(int64(id)))
		}
		conditions = append(conditions, "(k.purpose, k.scope) IN (SELECT purpose, scope FROM "+s.table+
			" WHERE key_id IN ("+strings.Join(marks, ", ")+"))")
	}
	conditions = append(conditions, "k.key_id <> 0")
	where := " WHERE " + strings.Join(conditions, " AND ")
	// Rows with an epoch that no key has are counted apart.
	destroyed := "CASE WHEN k.scope IN " + s.destroyedScopes("1 = 1") + " THEN 1 ELSE 0 END"
	_, keys, err := s.query(ctx, "", s.rowColumns(destroyed, s.strayColumn("k.place")),
		"(SELECT k.*, row_number() OVER (PARTITION BY purpose, scope, epoch > 0 ORDER BY epoch) AS place FROM "+s.table+" k"+where+") k ON 1 = 1",
		" ORDER BY k.scope, k.purpose, k.epoch", args...)
	return keys, err
}

// End stops a key as how says, and reports whether it did: false when the key is not
// in the condition that how demands. Each kind is one UPDATE whose condition is looked at and
// acted on together.
func (s *Store) End(ctx context.Context, id uint32, how Ending) (bool, error) {
	other := func(condition string) string {
		return "EXISTS (SELECT 1 FROM " + s.table + " o WHERE o.purpose = k.purpose AND o.scope = k.scope" +
			" AND o.retired_at IS NULL AND o.destroyed_at IS NULL AND NOT o.recovered AND " + condition + ")"
	}
	now := now(s.dialect)
	var set, where string
	switch how.Kind {
	case EndRevokeData:
		set = "revoked_at = " + now + ", retired_at = COALESCE(retired_at, " + now + ")"
		where = "purpose IN ('data', 'inbox') AND revoked_at IS NULL AND " + other("(o.epoch > k.epoch OR k.purpose = 'inbox' AND o.key_id <> k.key_id)")
	case EndRevokeSearch:
		set = "revoked_at = " + now
		where = "purpose = 'search' AND revoked_at IS NULL AND " + other("o.epoch > k.epoch")
	case EndRevokeNext:
		set = "revoked_at = " + now + ", retired_at = " + now
		// The margin is for the time until this is committed: who reads the ring in between must
		// not begin to seal.
		where = "purpose = 'search' AND revoked_at IS NULL AND retired_at IS NULL AND NOT (" + passed(s.dialect, "k.seals_from", -how.Settled) + ") AND " +
			other("o.epoch < k.epoch AND o.revoked_at IS NULL")
	case EndRevokeStray:
		set = "revoked_at = " + now + ", retired_at = COALESCE(retired_at, " + now + ")"
		where = "revoked_at IS NULL"
	case EndRetire:
		set = "retired_at = " + now
		// A search key that follows another one waited before it sealed; see Key.Stray.
		where = "purpose <> 'writer' AND retired_at IS NULL AND " + other("o.epoch > k.epoch AND (o.purpose <> 'search' OR o.seals_from > o.created_at) AND "+passed(s.dialect, "o.seals_from", how.Settled))
	}
	n, err := s.update(ctx, "update", "UPDATE "+s.table+" AS k SET "+set+", changed_by = $1, changed_why = $2"+
		" WHERE key_id = $3 AND destroyed_at IS NULL AND "+where+" AND "+durable(s.dialect), how.By, how.Why, int64(id))
	return n == 1, err
}

// Swap puts another wrapped form of the same key in the place of old, and reports
// whether old was there.
func (s *Store) Swap(ctx context.Context, id uint32, old []byte, next kms.Wrapped) (bool, error) {
	if err := (Key{ID: id}).storable("rewrap", next); err != nil {
		return false, err
	}
	n, err := s.update(ctx, "update", "UPDATE "+s.table+" SET kek_id = $1, wrapped = $2"+
		" WHERE key_id = $3 AND key_id <> 0 AND wrapped = $4 AND destroyed_at IS NULL AND "+durable(s.dialect), next.KeyID, next.Blob, int64(id), old)
	return n == 1, err
}

// An Adoption gives a keyring another id.
type Adoption struct {
	Old, New string
	Keys     []Adopted
	Left     []uint32 // keys that stay as they are, and open no more
	By, Why  string
}

// Adopted is a key of an Adoption: its wrapped form under the old id, and the one under the new.
type Adopted struct {
	ID   uint32
	Old  []byte
	Next kms.Wrapped
}

// Adopt does an Adoption in one transaction, and reports whether it did: false if the keyring is
// not, or not any more, the one that the Adoption was made for. No key is made or changed
// meanwhile: all keys are wrapped with one id, before and after.
func (s *Store) Adopt(ctx context.Context, a Adoption) (done bool, err error) {
	before, err1 := hex.DecodeString(a.Old)
	after, err2 := hex.DecodeString(a.New)
	if err := errors.Join(err1, err2); err != nil {
		return false, err
	}
	left := map[int64]bool{}
	for _, id := range a.Left {
		left[int64(id)] = true
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if s.dialect == DialectPostgres { // on SQLite the first UPDATE locks it
			if _, err := tx.ExecContext(ctx, "LOCK TABLE "+s.table+" IN EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		ok, err := changesOne(tx.ExecContext(ctx, "UPDATE "+s.table+" SET wrapped = $1, changed_by = $2, changed_why = $3"+
			" WHERE key_id = 0 AND wrapped = $4", after, a.By, a.Why, before))
		if !ok || err != nil {
			return err
		}
		swap, err := tx.PrepareContext(ctx, "UPDATE "+s.table+" SET kek_id = $1, wrapped = $2"+
			" WHERE key_id = $3 AND key_id <> 0 AND wrapped = $4 AND destroyed_at IS NULL")
		if err != nil {
			return err
		}
		defer func() { _ = swap.Close() }()
		for _, k := range a.Keys {
			if k.Next.KeyID != "" { // else it is a writer's
				if err := (Key{ID: k.ID}).storable("adopt", k.Next); err != nil {
					return err
				}
			}
			ok, err := changesOne(swap.ExecContext(ctx, k.Next.KeyID, k.Next.Blob, int64(k.ID), k.Old))
			if !ok || err != nil {
				return err
			}
			left[int64(k.ID)] = true
		}
		all, err := queryIDs(ctx, tx, "SELECT key_id FROM "+s.table+" WHERE wrapped IS NOT NULL AND key_id <> 0")
		if err != nil {
			return err
		}
		for _, id := range all {
			if !left[id] {
				return nil // it was made meanwhile
			}
		}
		done = true
		return tx.Commit()
	})
	return done && err == nil, err
}

// queryIDs returns the ids of keys that a statement yields.
func queryIDs(ctx context.Context, tx *sql.Tx, query string, args ...any) (ids []int64, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is rows.Err's
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func changesOne(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// inTx runs f in a transaction, which is rolled back unless f commits it.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	own := *s
	own.loans = nil // it takes several statements
	return own.withConn(ctx, "update", func(ctx context.Context, conn *sql.Conn) error {
		// SQLite knows one level only.
		opts := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
		if s.dialect == DialectSQLite {
			opts = nil
		}
		tx, err := conn.BeginTx(ctx, opts)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing after a Commit
		if _, err := tx.ExecContext(ctx, "SELECT "+durable(s.dialect)); err != nil {
			return err
		}
		return f(tx)
	})
}

// Destroy wipes every wrapped key of a scope, closes each of its rings with a tombstone, and
// returns the keys that it wiped. The tombstones come first: each takes the epoch that a process
// would make next, and waits for one that is making it. Nobody can add a key after that, so that
// what is wiped then is all there is.
func (s *Store) Destroy(ctx context.Context, scope, by, why string) (wiped []uint32, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		for _, p := range []Purpose{PurposeData, PurposeSearch, PurposeInbox} {
			if err := s.bury(ctx, tx, p, scope, by, why); err != nil {
				return err
			}
		}
		if wiped, err = s.wipe(ctx, tx, scope, by, why); err != nil {
			return err
		}
		return tx.Commit()
	})
	return wiped, err
}

// bury puts a tombstone behind the newest key of a ring, at the epoch that a process would
// make next, unless the newest is one.
func (s *Store) bury(ctx context.Context, tx *sql.Tx, p Purpose, scope, by, why string) error {
	top := "(SELECT COALESCE(max(epoch), 0) AS epoch FROM (SELECT epoch, row_number() OVER (ORDER BY epoch) AS place FROM " + s.table +
		" WHERE purpose = $1 AND scope = $2 AND epoch > 0) c WHERE epoch = place)"
	text := textType(s.dialect)
	for range tombstoneTries {
		var closed int64
		err := tx.QueryRowContext(ctx, "SELECT CASE WHEN EXISTS (SELECT 1 FROM "+s.table+" k JOIN "+top+" t ON k.epoch = t.epoch"+
			" WHERE k.purpose = $1 AND k.scope = $2 AND k.destroyed_at IS NOT NULL) THEN 1 ELSE 0 END", string(p), scope).Scan(&closed)
		if err != nil {
			return err
		}
		if closed == 1 {
			return nil
		}
		res, err := tx.ExecContext(ctx, "INSERT INTO "+s.table+
			" (key_id, purpose, scope, epoch, kek_id, seals_reserved, destroyed_at, changed_by, changed_why)"+
			" SELECT CAST($3 AS bigint), CAST($1 AS "+text+"), CAST($2 AS "+text+"), t.epoch + 1, '', 0, "+now(s.dialect)+
			", CAST($4 AS "+text+"), CAST($5 AS "+text+") FROM "+top+" t WHERE TRUE ON CONFLICT DO NOTHING", string(p), scope, int64(NewID()), by, why)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		// Another process made that epoch first: one further.
	}
	return hint.With(errors.New("keys were added faster than the scope could be closed"), "try again")
}

// tombstoneTries is so large because each failure is a key that was made meanwhile.
const tombstoneTries = 64

func (s *Store) wipe(ctx context.Context, tx *sql.Tx, scope, by, why string) (wiped []uint32, err error) {
	ids, err := queryIDs(ctx, tx, "UPDATE "+s.table+" SET wrapped = NULL, destroyed_at = "+now(s.dialect)+
		", changed_by = $1, changed_why = $2 WHERE scope = $3 AND destroyed_at IS NULL AND key_id <> 0 RETURNING key_id", by, why, scope)
	for _, id := range ids {
		wiped = append(wiped, uint32(id)) //nolint:gosec // the table's CHECK bounds it
	}
	return wiped, err
}
