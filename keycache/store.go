package keycache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ringDepth is how many epochs of one purpose and scope are looked at. Data keys
// need the newest; search keys need all that are live, which are two at most, and
// are read however old they are.
const ringDepth = 16

// idsPerQuery bounds one IN list, well under every driver's parameter limit.
const idsPerQuery = 512

const sqliteBusyTimeout = 5000

// Store is the [Keyring] in a table of a PostgreSQL or SQLite database. It is
// safe for concurrent use.
//
// It uses a *sql.DB of its own, on the driver below Colseal's: a pool of a few
// connections, never one that is in a transaction of the application's.
type Store struct {
	db      *sql.DB
	dialect Dialect
	table   string // quoted
	name    string
	// busyTimeout is how many milliseconds SQLite waits for another connection's
	// transaction.
	busyTimeout int
	invalid     error // why the table's name cannot be used; given by every method
}

// OpenStore returns the keyring in the given table: "table", "schema.table", or
// either with quoted names; "" is [DefaultTable]. It does not touch the
// database; see [Store.Check] and [Store.Create]. The caller closes db, after
// the Cache that uses the Store.
//
// The keyring's name in the KMS encryption context is the table's, without its
// schema: a table that is renamed needs its keys rewrapped, one that is moved to
// another schema or database does not.
func OpenStore(db *sql.DB, dialect Dialect, table string) *Store {
	parts, err := parseTable(table)
	if err != nil {
		return &Store{invalid: err}
	}
	return &Store{db: db, dialect: dialect, table: quoteTable(parts), name: parts[len(parts)-1], busyTimeout: sqliteBusyTimeout}
}

// Name implements [Keyring].
func (s *Store) Name() string { return s.name }

// DDL returns the statement that creates the table.
func (s *Store) DDL() string {
	if s.invalid != nil {
		return ""
	}
	return s.dialect.ddl(s.table)
}

// Create creates the table if it does not exist. Any number of processes may do
// so at once.
func (s *Store) Create(ctx context.Context) error {
	err := s.exec(ctx, "create", s.DDL())
	if err == nil {
		return nil
	}
	// Two PostgreSQL sessions that create the same table at once both miss it
	// and one fails on the catalog's unique index: then the table is there.
	if s.Check(ctx) == nil {
		return nil
	}
	return err
}

// Check returns nil if the table is there with the columns that are needed,
// [ErrNoKeyTable] with the statement that creates it if it is not there, and
// otherwise an error that says what is wrong: of missing columns, which, and the
// statements that add them.
func (s *Store) Check(ctx context.Context) error {
	names := make([]string, len(tableColumns))
	for i, c := range tableColumns {
		names[i] = c.name
	}
	err := s.exec(ctx, opCheck, "SELECT "+strings.Join(names, ", ")+" FROM "+s.table+" WHERE 1 = 0")
	if err == nil || errors.Is(err, ErrNoKeyTable) || s.invalid != nil {
		return err
	}
	var missing []tableColumn
	for _, c := range tableColumns {
		if missesColumn(s.exec(ctx, opCheck, "SELECT "+c.name+" FROM "+s.table+" WHERE 1 = 0"), c.name) {
			missing = append(missing, c)
		}
	}
	return s.explainMissing(missing, err)
}

// missesColumn tells whether a statement failed because there is no such column; of
// several that a statement for SQLite names, "" stands for any.
func missesColumn(err error, name string) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "42703"
	}
	return err != nil && strings.Contains(err.Error(), "no such column: "+name)
}

// explainMissing says what to do about columns that are not there; err is what
// led to the look.
func (s *Store) explainMissing(missing []tableColumn, err error) error {
	if len(missing) == 0 {
		return err
	}
	names := make([]string, len(missing))
	for i, c := range missing {
		names[i] = c.name
		if !laterColumn(c) {
			return fmt.Errorf("keycache: %s is not a key table but another one: it has no column %s; name another table in Config.KeyTable",
				s.table, c.name)
		}
	}
	return fmt.Errorf("keycache: key table %s has no column %s; add what is missing with\n\n%s",
		s.table, strings.Join(names, ", "), s.dialect.addColumns(s.table, missing))
}

// Ring implements [Keyring].
func (s *Store) Ring(ctx context.Context, purpose Purpose, scope string) ([]Record, error) {
	return s.query(ctx, fmt.Sprintf("WHERE purpose = $1 AND scope = $2 AND"+
		" (epoch > (SELECT max(epoch) FROM %s WHERE purpose = $1 AND scope = $2) - %d"+
		" OR purpose = 'search' AND retired_at IS NULL AND destroyed_at IS NULL) ORDER BY epoch DESC", s.table, ringDepth),
		string(purpose), scope)
}

// Keys implements [Keyring].
func (s *Store) Keys(ctx context.Context, ids []uint32) ([]Record, error) {
	var all []Record
	for len(ids) > 0 {
		n := min(len(ids), idsPerQuery)
		marks, args := make([]string, n), make([]any, n)
		for i, id := range ids[:n] {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), int64(id)
		}
		recs, err := s.query(ctx, "WHERE key_id IN ("+strings.Join(marks, ", ")+")", args...)
		if err != nil {
			return nil, err
		}
		all, ids = append(all, recs...), ids[n:]
	}
	return all, nil
}

// Insert implements [Keyring]. It sets the times by the database's clock; of
// rec's durations it uses SealsFor alone, and only to begin later than now.
func (s *Store) Insert(ctx context.Context, rec Record) (bool, error) {
	n, err := s.update(ctx, "insert into", "INSERT INTO "+s.table+
		" (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, seals_from, changed_by, changed_why)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, "+s.dialect.later(rec.SealsFor)+", $8, $9) ON CONFLICT DO NOTHING",
		int64(rec.ID), string(rec.Purpose), rec.Scope, rec.Epoch, rec.Wrapped.KeyID, rec.Wrapped.Blob, int64(rec.SealsReserved),
		rec.changedBy, rec.changedWhy)
	return n == 1, err
}

// Reserve implements [Keyring].
func (s *Store) Reserve(ctx context.Context, id uint32, n, limit uint64) (sum uint64, ok bool, err error) {
	if n > limit {
		return 0, false, nil
	}
	err = s.withConn(ctx, "update", func(conn *sql.Conn) error {
		var reserved int64
		err := conn.QueryRowContext(ctx, "UPDATE "+s.table+" SET seals_reserved = seals_reserved + $1"+
			" WHERE key_id = $2 AND seals_reserved <= $3 AND retired_at IS NULL AND destroyed_at IS NULL"+
			" RETURNING seals_reserved", int64(n), int64(id), int64(limit-n)).Scan(&reserved)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		sum, ok = uint64(reserved), err == nil //nolint:gosec // the table's CHECK bounds it
		return err
	})
	return sum, ok, err
}

// Release implements [Keyring].
func (s *Store) Release(ctx context.Context, id uint32, n uint64) error {
	_, err := s.update(ctx, "update", "UPDATE "+s.table+" SET seals_reserved = seals_reserved - $1"+
		" WHERE key_id = $2 AND seals_reserved >= $3", int64(n), int64(id), int64(n))
	return err
}

// query reads records; where follows the FROM clause.
func (s *Store) query(ctx context.Context, where string, args ...any) ([]Record, error) {
	return collect(ctx, s, scanRecord, "SELECT key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, "+
		s.dialect.age("created_at")+", "+s.dialect.age("seals_from")+
		", CASE WHEN retired_at IS NULL THEN 0 ELSE 1 END, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END"+
		", CASE WHEN destroyed_at IS NULL THEN 0 ELSE 1 END FROM "+s.table+" "+where, args...)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, s *Store, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := s.withConn(ctx, "read", func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // its error is rows.Err's
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			all = append(all, v)
		}
		return rows.Err()
	})
	return all, err
}

func scanRecord(rows *sql.Rows) (Record, error) {
	var (
		r                           Record
		id, reserved, age, sealsFor int64
		retired, revoked, destroyed int64
	)
	err := rows.Scan(&id, &r.Purpose, &r.Scope, &r.Epoch, &r.Wrapped.KeyID, &r.Wrapped.Blob, &reserved,
		&age, &sealsFor, &retired, &revoked, &destroyed)
	r.ID, r.SealsReserved = uint32(id), uint64(reserved) //nolint:gosec // the table's CHECKs bound both
	// A clock that was set back makes a negative age; count it as new.
	r.Age = time.Duration(max(age, 0)) * time.Millisecond
	r.SealsFor = time.Duration(sealsFor) * time.Millisecond
	r.Retired, r.Revoked, r.Destroyed = retired != 0, revoked != 0, destroyed != 0
	return r, err
}

func (s *Store) exec(ctx context.Context, op, query string, args ...any) error {
	_, err := s.update(ctx, op, query, args...)
	return err
}

func (s *Store) update(ctx context.Context, op, query string, args ...any) (int64, error) {
	var n int64
	err := s.withConn(ctx, op, func(conn *sql.Conn) error {
		res, err := conn.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// withConn runs f on one connection. If the table has not the columns that f names,
// it says which are missing and what to do: it may be another table altogether.
func (s *Store) withConn(ctx context.Context, op string, f func(*sql.Conn) error) error {
	err := s.onConn(ctx, op, f)
	if op != opCheck && missesColumn(err, "") {
		if told := s.Check(ctx); told != nil {
			return told
		}
	}
	return err
}

// opCheck is what Check does, as errors call it.
const opCheck = "check"

// onConn runs f on one connection. SQLite refuses at once when another connection
// writes, unless told to wait.
func (s *Store) onConn(ctx context.Context, op string, f func(*sql.Conn) error) error {
	if s.invalid != nil {
		return s.invalid
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.explain(op, err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	if s.dialect == SQLite {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", s.busyTimeout)); err != nil {
			return s.explain(op, err)
		}
	}
	return s.explain(op, f(conn))
}

// explain turns a database's error into one that says what to do.
func (s *Store) explain(op string, err error) error {
	var state interface{ SQLState() string } // *pgconn.PgError and others
	switch {
	case err == nil:
		return nil
	case errors.As(err, &state) && state.SQLState() == "42P01",
		s.dialect == SQLite && strings.Contains(err.Error(), "no such table"):
		return fmt.Errorf("%w: %s does not exist; create it with\n\n%s;\n\nor set AutoCreateKeyTable, or run `colseal keys init`",
			ErrNoKeyTable, s.table, s.DDL())
	case errors.As(err, &state) && state.SQLState() == "42501":
		return fmt.Errorf("keycache: %s key table %s: %w; grant SELECT, INSERT and UPDATE on it", op, s.table, err)
	}
	if s.dialect == SQLite && strings.Contains(err.Error(), "SQLITE_BUSY") {
		return fmt.Errorf("keycache: %s key table %s: %w; a transaction that writes keeps the keyring from being "+
			"written: end it, or call Warm before it begins", op, s.table, err)
	}
	return fmt.Errorf("keycache: %s key table %s: %w", op, s.table, err)
}
