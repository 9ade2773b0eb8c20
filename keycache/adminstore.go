package keycache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/kms"
)

// A ledger is a Keyring with what an [Admin] needs beyond it. Every method is one
// atomic step.
type ledger interface {
	Keyring
	// list returns the keys that the filter picks, by scope, purpose and epoch.
	list(ctx context.Context, f Filter) ([]Key, error)
	// end stops a key as how says, and reports whether it did: false when the key
	// is not in the condition that how demands.
	end(ctx context.Context, id uint32, how ending) (bool, error)
	// destroy wipes every wrapped key of a scope and closes each of its rings with
	// a tombstone, and returns the keys that it wiped.
	destroy(ctx context.Context, scope, by, why string) ([]uint32, error)
	// swap puts another wrapped form of the same key in the place of old, and
	// reports whether old was there.
	swap(ctx context.Context, id uint32, old []byte, next kms.Wrapped) (bool, error)
}

// An ending is a way to stop a key, which demands that another one goes on.
type ending struct {
	kind    endingKind
	settled time.Duration // retire: how long the other one must have been sealing
	by, why string
}

type endingKind uint8

const (
	revokeData   endingKind = iota // a newer data key exists
	revokeSearch                   // a newer search key exists; this one is still searched for
	revokeNext                     // an older search key exists, and this one has not begun to seal
	retireKey                      // a newer key has been sealing for long enough
)

var _ ledger = (*Store)(nil)

// list implements ledger.
func (s *Store) list(ctx context.Context, f Filter) ([]Key, error) {
	if len(f.IDs) > idsPerQuery {
		return s.listMany(ctx, f)
	}
	where, args := s.filter(f)
	d := s.dialect
	// When a newer key took over: for data keys the next epoch, whatever became of
	// it; for search keys the next that is live.
	relieved := "(SELECT min(n.seals_from) FROM " + s.table + " n WHERE n.purpose = k.purpose AND n.scope = k.scope" +
		" AND n.epoch > k.epoch AND (n.purpose = 'data' OR n.retired_at IS NULL AND n.destroyed_at IS NULL))"
	query := "SELECT k.key_id, k.purpose, k.scope, k.epoch, k.kek_id, k.wrapped, k.seals_reserved, " +
		d.age("k.created_at") + ", " + d.age("k.seals_from") + ", " +
		d.millis("k.created_at") + ", " + d.millis("k.seals_from") + ", " + d.millis("k.retired_at") + ", " +
		d.millis("k.revoked_at") + ", " + d.millis("k.destroyed_at") + ", " +
		d.millis(relieved) + ", " + d.age(relieved) + ", k.changed_by, k.changed_why FROM " +
		s.table + " k" + where + " ORDER BY k.scope, k.purpose, k.epoch"
	return collect(ctx, s, scanKey, query, args...)
}

// listMany is list for more ids than fit one query.
func (s *Store) listMany(ctx context.Context, f Filter) ([]Key, error) {
	var all []Key
	for ids := f.IDs; len(ids) > 0; {
		n := min(len(ids), idsPerQuery)
		f.IDs = ids[:n]
		keys, err := s.list(ctx, f)
		if err != nil {
			return nil, err
		}
		all, ids = append(all, keys...), ids[n:]
	}
	return all, nil
}

func (s *Store) filter(f Filter) (where string, args []any) {
	var conditions []string
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
	if f.IDs != nil {
		marks := []string{"0"} // never an id: an empty list picks nothing
		for _, id := range f.IDs {
			marks = append(marks, arg(int64(id)))
		}
		conditions = append(conditions, "k.key_id IN ("+strings.Join(marks, ", ")+")")
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

func scanKey(rows *sql.Rows) (Key, error) {
	var (
		k                                     Key
		id, reserved, age, sealsFor           int64
		created, sealsFrom                    int64
		retired, revoked, destroyed, relieved sql.NullInt64
		relievedFor                           sql.NullInt64
	)
	err := rows.Scan(&id, &k.Purpose, &k.Scope, &k.Epoch, &k.Wrapped.KeyID, &k.Wrapped.Blob, &reserved, &age, &sealsFor,
		&created, &sealsFrom, &retired, &revoked, &destroyed, &relieved, &relievedFor, &k.ChangedBy, &k.ChangedWhy)
	k.ID, k.SealsReserved = uint32(id), uint64(reserved) //nolint:gosec // the table's CHECKs bound both
	k.Age = time.Duration(max(age, 0)) * time.Millisecond
	k.SealsFor = time.Duration(sealsFor) * time.Millisecond
	k.Retired, k.Revoked, k.Destroyed = retired.Valid, revoked.Valid, destroyed.Valid
	k.KEK = k.Wrapped.KeyID
	k.CreatedAt, k.SealsFrom = time.UnixMilli(created).UTC(), time.UnixMilli(sealsFrom).UTC()
	k.RetiredAt, k.RevokedAt, k.DestroyedAt = timeOf(retired), timeOf(revoked), timeOf(destroyed)
	k.lives(timeOf(relieved), relievedFor.Valid && relievedFor.Int64 >= 0)
	return k, err
}

func timeOf(millis sql.NullInt64) time.Time {
	if !millis.Valid {
		return time.Time{}
	}
	return time.UnixMilli(millis.Int64).UTC()
}

// lives works out the state of a key from the facts of its row and from when a newer
// one took over, if one has.
func (k *Key) lives(relieved time.Time, isRelieved bool) {
	if isRelieved && k.RetiredAt.IsZero() {
		k.RetiredAt = relieved
	}
	switch {
	case k.Destroyed:
		k.State = StateDestroyed
	case k.Revoked:
		k.State = StateRevoked
	case k.Retired:
		k.State = StateRetired
	case k.Purpose == PurposeSearch && k.SealsFor < 0:
		k.State = StateNext
	case isRelieved && k.Purpose == PurposeSearch:
		k.State = StateSearched
	case isRelieved:
		k.State = StateRetired
	default:
		k.State = StateActive
	}
}

// end implements ledger. Each kind is one UPDATE whose condition is looked at and
// acted on together.
func (s *Store) end(ctx context.Context, id uint32, how ending) (bool, error) {
	d := s.dialect
	other := func(condition string) string {
		return "EXISTS (SELECT 1 FROM " + s.table + " o WHERE o.purpose = k.purpose AND o.scope = k.scope" +
			" AND o.retired_at IS NULL AND o.destroyed_at IS NULL AND " + condition + ")"
	}
	var set, where string
	switch how.kind {
	case revokeData:
		set = "revoked_at = " + d.now() + ", retired_at = COALESCE(retired_at, " + d.now() + ")"
		where = "purpose = 'data' AND revoked_at IS NULL AND " + other("o.epoch > k.epoch")
	case revokeSearch:
		set = "revoked_at = " + d.now()
		where = "purpose = 'search' AND revoked_at IS NULL AND " + other("o.epoch > k.epoch")
	case revokeNext:
		set = "revoked_at = " + d.now() + ", retired_at = " + d.now()
		// The margin is for the time until this is committed: who reads the ring in between must not begin to seal.
		where = "purpose = 'search' AND revoked_at IS NULL AND retired_at IS NULL AND " +
			fmt.Sprintf("%s < %d AND ", d.age("seals_from"), -settleMargin.Milliseconds()) +
			other("o.epoch < k.epoch AND o.revoked_at IS NULL")
	case retireKey:
		set = "retired_at = " + d.now()
		where = "retired_at IS NULL AND " + other(fmt.Sprintf("o.epoch > k.epoch AND %s >= %d", d.age("o.seals_from"), how.settled.Milliseconds()))
	}
	n, err := s.update(ctx, "update", "UPDATE "+s.table+" AS k SET "+set+", changed_by = $1, changed_why = $2"+
		" WHERE key_id = $3 AND destroyed_at IS NULL AND "+where, how.by, how.why, int64(id))
	return n == 1, err
}

// swap implements ledger.
func (s *Store) swap(ctx context.Context, id uint32, old []byte, next kms.Wrapped) (bool, error) {
	n, err := s.update(ctx, "update", "UPDATE "+s.table+" SET kek_id = $1, wrapped = $2"+
		" WHERE key_id = $3 AND wrapped = $4 AND destroyed_at IS NULL", next.KeyID, next.Blob, int64(id), old)
	return n == 1, err
}

// destroy implements ledger. The tombstones come first: each takes the epoch that a
// process would make next, and waits for one that is making it. Nobody can add a key
// after that, so that what is wiped then is all there is.
func (s *Store) destroy(ctx context.Context, scope, by, why string) (wiped []uint32, err error) {
	err = s.withConn(ctx, "update", func(conn *sql.Conn) error {
		// SQLite knows one level only.
		opts := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
		if s.dialect == SQLite {
			opts = nil
		}
		tx, err := conn.BeginTx(ctx, opts)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing after a Commit
		for _, p := range []Purpose{PurposeData, PurposeSearch} {
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

// bury puts a tombstone behind the newest key of a ring, unless there is one.
func (s *Store) bury(ctx context.Context, tx *sql.Tx, p Purpose, scope, by, why string) error {
	for range tombstoneTries {
		_, err := tx.ExecContext(ctx, "INSERT INTO "+s.table+
			" (key_id, purpose, scope, epoch, kek_id, seals_reserved, destroyed_at, changed_by, changed_why)"+
			" SELECT CAST($1 AS bigint), CAST($2 AS text), CAST($3 AS text), COALESCE(max(epoch), 0) + 1, '', 0, "+s.dialect.now()+
			", CAST($4 AS text), CAST($5 AS text) FROM "+s.table+" WHERE purpose = $2 AND scope = $3"+
			" HAVING COUNT(*) = 0 OR NOT EXISTS (SELECT 1 FROM "+s.table+" t WHERE t.purpose = $2 AND t.scope = $3 AND t.destroyed_at IS NOT NULL"+
			" AND t.epoch = (SELECT max(epoch) FROM "+s.table+" WHERE purpose = $2 AND scope = $3))"+
			" ON CONFLICT DO NOTHING", int64(newKeyID()), string(p), scope, by, why)
		if err != nil {
			return err
		}
		var closed int64
		err = tx.QueryRowContext(ctx, "SELECT CASE WHEN destroyed_at IS NULL THEN 0 ELSE 1 END FROM "+s.table+
			" WHERE purpose = $1 AND scope = $2 ORDER BY epoch DESC LIMIT 1", string(p), scope).Scan(&closed)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if closed == 1 {
			return nil
		}
		// Another process made that epoch first: one further.
	}
	return errors.New("keys were added faster than the scope could be closed; try again")
}

// tombstoneTries is so large because each failure is a key that was made meanwhile.
const tombstoneTries = 64

func (s *Store) wipe(ctx context.Context, tx *sql.Tx, scope, by, why string) (wiped []uint32, err error) {
	rows, err := tx.QueryContext(ctx, "UPDATE "+s.table+" SET wrapped = NULL, destroyed_at = "+s.dialect.now()+
		", changed_by = $1, changed_why = $2 WHERE scope = $3 AND destroyed_at IS NULL RETURNING key_id", by, why, scope)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is rows.Err's
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		wiped = append(wiped, uint32(id)) //nolint:gosec // the table's CHECK bounds it
	}
	return wiped, rows.Err()
}
