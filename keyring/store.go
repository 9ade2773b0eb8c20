package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
)

// ringDepth is how many epochs of one purpose and scope are looked at. Data keys
// need the newest; search keys need all that are live, which are two at most, and
// are read however old they are.
const ringDepth = 16

// idsPerQuery bounds one IN list, well under every driver's parameter limit.
const idsPerQuery = 512

// SQLite's code of a database that another connection writes, and how many
// milliseconds to wait for that one.
const (
	sqliteBusy        = 5
	sqliteBusyTimeout = 5000
)

// Store is the keyring in a table of a PostgreSQL or SQLite database. Every method
// is one atomic step, durable when it returns. A Store is safe for concurrent use,
// from many processes.
//
// It uses a *sql.DB of its own, on the driver below Colseal's: a pool of a few
// connections, never one that is in a transaction of the application's.
type Store struct {
	db      *sql.DB
	dialect dialect.Dialect
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
func OpenStore(db *sql.DB, d dialect.Dialect, table string) *Store {
	if table == "" {
		table = DefaultTable
	}
	name, err := dbcatalog.ParseName(table)
	if err != nil {
		return &Store{invalid: fmt.Errorf("keyring: %w", err)}
	}
	return &Store{db: db, dialect: d, table: name.SQL(), name: name.Table, busyTimeout: sqliteBusyTimeout}
}

// Name is the keyring's name in the KMS encryption context.
func (s *Store) Name() string { return s.name }

// Dialect returns the SQL dialect of the keyring's database.
func (s *Store) Dialect() dialect.Dialect { return s.dialect }

// DDL returns the statement that creates the table.
func (s *Store) DDL() string {
	if s.invalid != nil {
		return ""
	}
	return ddl(s.dialect, s.table)
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
	if state := dbcatalog.SQLState(err); state != "" {
		return state == "42703"
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
			return fmt.Errorf("keyring: %s is not a key table but another one: it has no column %s; name another table in Config.KeyTable",
				s.table, c.name)
		}
	}
	return fmt.Errorf("keyring: key table %s has no column %s; add what is missing with\n\n%s",
		s.table, strings.Join(names, ", "), addColumns(s.dialect, s.table, missing))
}

// Ring returns the newest keys of a purpose and scope, newest first, and of the older
// ones at least every search key that is still searched for.
func (s *Store) Ring(ctx context.Context, purpose Purpose, scope string) ([]Key, error) {
	return s.query(ctx, fmt.Sprintf("WHERE k.purpose = $1 AND k.scope = $2 AND"+
		" (k.epoch > (SELECT max(epoch) FROM %s WHERE purpose = $1 AND scope = $2) - %d"+
		" OR k.purpose = 'search' AND k.retired_at IS NULL AND k.destroyed_at IS NULL) ORDER BY k.epoch DESC", s.table, ringDepth),
		string(purpose), scope)
}

// Keys returns the keys of the given ids that exist, in any order.
func (s *Store) Keys(ctx context.Context, ids []uint32) ([]Key, error) {
	var all []Key
	for len(ids) > 0 {
		n := min(len(ids), idsPerQuery)
		marks, args := make([]string, n), make([]any, n)
		for i, id := range ids[:n] {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), int64(id)
		}
		recs, err := s.query(ctx, "WHERE k.key_id IN ("+strings.Join(marks, ", ")+")", args...)
		if err != nil {
			return nil, err
		}
		all, ids = append(all, recs...), ids[n:]
	}
	return all, nil
}

// Insert adds a key and reports whether it did: false when its id or its epoch is
// taken. The times are the database's: of k's durations Insert uses SealsFor alone,
// and only to begin later than now.
func (s *Store) Insert(ctx context.Context, k Key) (bool, error) {
	n, err := s.update(ctx, "insert into", "INSERT INTO "+s.table+
		" (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, seals_from, changed_by, changed_why)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, "+later(s.dialect, k.SealsFor)+", $8, $9) ON CONFLICT DO NOTHING",
		int64(k.ID), string(k.Purpose), k.Scope, k.Epoch, k.Wrapped.KeyID, k.Wrapped.Blob, int64(k.SealsReserved),
		k.ChangedBy, k.ChangedWhy)
	return n == 1, err
}

// Reserve adds n seals to what is reserved of a key and returns the new sum; false
// when that would pass limit, or the key is retired or destroyed.
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

// Release gives back n reserved seals that will never be used.
func (s *Store) Release(ctx context.Context, id uint32, n uint64) error {
	_, err := s.update(ctx, "update", "UPDATE "+s.table+" SET seals_reserved = seals_reserved - $1"+
		" WHERE key_id = $2 AND seals_reserved >= $3", int64(n), int64(id), int64(n))
	return err
}

// query reads keys; where follows the FROM clause, in which the table is k.
func (s *Store) query(ctx context.Context, where string, args ...any) ([]Key, error) {
	d := s.dialect
	return collect(ctx, s, scanKey, "SELECT k.key_id, k.purpose, k.scope, k.epoch, k.kek_id, k.wrapped, k.seals_reserved, "+
		age(d, "k.created_at")+", "+age(d, "k.seals_from")+", "+
		millis(d, "k.created_at")+", "+millis(d, "k.seals_from")+", "+millis(d, "k.retired_at")+", "+
		millis(d, "k.revoked_at")+", "+millis(d, "k.destroyed_at")+", k.changed_by, k.changed_why FROM "+
		s.table+" k "+where, args...)
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

func scanKey(rows *sql.Rows) (Key, error) {
	var (
		k                                          Key
		id, reserved, age, sealsFor, created, from int64
		retired, revoked, destroyed                sql.NullInt64
	)
	err := rows.Scan(&id, &k.Purpose, &k.Scope, &k.Epoch, &k.Wrapped.KeyID, &k.Wrapped.Blob, &reserved, &age, &sealsFor,
		&created, &from, &retired, &revoked, &destroyed, &k.ChangedBy, &k.ChangedWhy)
	k.ID, k.SealsReserved = uint32(id), uint64(reserved) //nolint:gosec // the table's CHECKs bound both
	// A clock that was set back makes a negative age; count it as new.
	k.Age = time.Duration(max(age, 0)) * time.Millisecond
	k.SealsFor = time.Duration(sealsFor) * time.Millisecond
	k.Retired, k.Revoked, k.Destroyed = retired.Valid, revoked.Valid, destroyed.Valid
	k.CreatedAt, k.SealsFrom = time.UnixMilli(created).UTC(), time.UnixMilli(from).UTC()
	k.RetiredAt, k.RevokedAt, k.DestroyedAt = timeOf(retired), timeOf(revoked), timeOf(destroyed)
	return k, err
}

func timeOf(millis sql.NullInt64) time.Time {
	if !millis.Valid {
		return time.Time{}
	}
	return time.UnixMilli(millis.Int64).UTC()
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
	state := dbcatalog.SQLState(err)
	switch {
	case err == nil:
		return nil
	case state == "42P01",
		s.dialect == SQLite && strings.Contains(err.Error(), "no such table"):
		return fmt.Errorf("%w: %s does not exist; create it with\n\n%s;\n\nor set AutoCreateKeyTable, or run `colseal keys init`",
			ErrNoKeyTable, s.table, s.DDL())
	case state == "42501":
		return fmt.Errorf("keyring: %s key table %s: %w; grant SELECT, INSERT and UPDATE on it", op, s.table, err)
	}
	if s.dialect == SQLite && dbcatalog.SQLiteCode(err)&0xff == sqliteBusy {
		return fmt.Errorf("keyring: %s key table %s: %w; a transaction that writes keeps the keyring from being "+
			"written: end it, or call Warm before it begins", op, s.table, err)
	}
	return fmt.Errorf("keyring: %s key table %s: %w", op, s.table, err)
}
