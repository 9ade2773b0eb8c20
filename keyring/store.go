package keyring

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
)

// Of one purpose and scope, ringDepth of the newest epochs are read: data keys need the
// newest only. Search keys are read as long as they are live, which are two at most, and
// ringMost with those that somebody else put there. Of rows beyond a gap a few are read,
// to be reported.
const (
	ringDepth  = 16
	ringMost   = 4096
	ringStrays = 4
)

// answerTimeout bounds each try of a step that a program waits for: a connection that hangs is
// given up, as one that cannot be made. Each further try may take twice as long, since the server
// may only be slow. stepTimeout bounds them all.
const (
	answerTimeout = 2 * time.Second
	stepTimeout   = 30 * time.Second
)

// idsPerQuery bounds one IN list, well under every driver's parameter limit.
const idsPerQuery = 512

// SQLite's code of a database that another connection writes, and how many
// milliseconds to wait for that one.
const (
	sqliteBusy        = 5
	sqliteBusyTimeout = 5000
)

// Store is the keyring in a table of a PostgreSQL or SQLite database. Every method is one atomic
// step, durable when it returns, whatever the role's synchronous_commit is. Steps that a program
// waits for (Ring, Keys, Insert, Reserve) are retried while the keyring does not answer, until
// their context ends, and for at most thirty seconds; see [Store.HurryWhen]. On SQLite each try may
// also wait for another connection's transaction. A Store is safe for concurrent use, also by many
// processes.
//
// It uses a *sql.DB of its own, on the driver below Colseal's. That is a pool of a few connections,
// and never one that is in a transaction of the application.
type Store struct {
	db      *sql.DB
	dialect dialect.Dialect
	table   string // quoted
	name    string // of the table, without its schema
	pinned  string // the id that the keyring must have; "" for any
	// busyTimeout is how many milliseconds SQLite waits for another connection's
	// transaction.
	busyTimeout int
	// answers bounds the first try of a step that a program waits for.
	answers  time.Duration
	hurry    func() bool // see HurryWhen; nil: never
	invalid  error       // why the table's name cannot be used; given by every method
	resolved bool        // table names a schema
	loans    *Loans      // connections that are lent; nil: none
}

// OpenStore returns the keyring in the given table: "table", "schema.table", or
// either with quoted names; "" is [DefaultTable]. It does not touch the
// database; see [Store.Check] and [Store.Create]. The caller closes db, after
// the Cache that uses the Store.
//
// The keyring is known by its id, which is in the table and moves with it: the table may be
// renamed, moved and restored. See [Store.Pin].
func OpenStore(db *sql.DB, d dialect.Dialect, table string) *Store {
	if table == "" {
		table = DefaultTable
	}
	name, err := dbcatalog.ParseName(table)
	if err != nil {
		return &Store{invalid: hint.Errorf("keyring: %w", err)}
	}
	s := &Store{db: db, dialect: d, table: name.SQL(), name: name.Table, busyTimeout: sqliteBusyTimeout, answers: answerTimeout,
		resolved: name.Schema != ""}
	if d == DialectSQLite {
		s.answers += sqliteBusyTimeout * time.Millisecond
	}
	return s
}

// Dialect returns the SQL dialect of the keyring's database.
func (s *Store) Dialect() dialect.Dialect { return s.dialect }

// DDL returns the statement that creates the table.
func (s *Store) DDL() string {
	if s.invalid != nil {
		return ""
	}
	return ddl(s.dialect, s.table)
}

// Grants returns the statements that grant four PostgreSQL roles what they need of the table. A
// program makes keys and reserves seals, but makes neither a time nor a tombstone. A write-only
// program makes keys of its own. An operator runs [Admin]. An auditor reads. Grants writes the
// roles into the statements as they are. It returns "" for SQLite, which has no roles.
func (s *Store) Grants(program, writer, operator, auditor string) string {
	if s.invalid != nil || s.dialect == DialectSQLite {
		return ""
	}
	return grants(s.table, program, writer, operator, auditor)
}

// Create creates the table if it does not exist, and gives the keyring its id. Any number
// of processes may do so at once. Where an id is pinned, a new keyring is refused.
func (s *Store) Create(ctx context.Context) error {
	if s.pinned != "" {
		return s.newKeyring("there is none in " + s.table)
	}
	// Two PostgreSQL sessions that create the same table at once both miss it
	// and one fails on the catalog's unique index: then the table is there.
	if err := s.exec(ctx, "create", s.DDL()); err != nil && s.Check(ctx) != nil {
		return err
	}
	_, err := s.Identify(ctx, "")
	return err
}

// Check returns nil if the table is there with the columns that are needed,
// [ErrNoKeyTable] with the statement that creates it if it is not there, and
// otherwise an error that says what is wrong: of missing columns, which, and the
// statements that add them.
func (s *Store) Check(ctx context.Context) error {
	if s.invalid != nil {
		return s.invalid
	}
	names := make([]string, len(tableColumns))
	for i, c := range tableColumns {
		names[i] = c.name
	}
	err := s.look(ctx, strings.Join(names, ", "))
	if !missesColumn(err, "") {
		return err
	}
	var missing []tableColumn
	for _, c := range tableColumns {
		if missesColumn(s.look(ctx, c.name), c.name) {
			missing = append(missing, c)
		}
	}
	return s.explainMissing(missing, err)
}

// look selects columns of no row.
func (s *Store) look(ctx context.Context, columns string) error {
	return s.answer(ctx, opCheck, func(ctx context.Context) error {
		return s.retried(ctx, opCheck, func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "SELECT "+columns+" FROM "+s.table+" WHERE 1 = 0")
			return err
		})
	})
}

// Resolve returns the Store with its table's name fixed to the schema in which a connection finds
// it now. The search path of later connections does not matter. The table must exist, and be an
// ordinary one.
func (s *Store) Resolve(ctx context.Context) (*Store, error) {
	if s.invalid != nil || s.dialect == DialectSQLite {
		return s, s.invalid
	}
	var schema, kind, persistence string
	err := s.answer(ctx, opRead, func(ctx context.Context) error {
		return s.retried(ctx, opRead, func(ctx context.Context, conn *sql.Conn) error {
			return conn.QueryRowContext(ctx, "SELECT n.nspname::pg_catalog.text, c.relkind::pg_catalog.text, c.relpersistence::pg_catalog.text"+
				" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+
				" WHERE c.oid = pg_catalog.to_regclass(CAST($1 AS pg_catalog.text))", s.table).Scan(&schema, &kind, &persistence)
		})
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, s.noTable()
	case err != nil:
		return nil, err
	case kind != "r" || persistence == "t":
		return nil, &TableError{Table: s.table, Reason: "is not a table that stays", Hint: otherTable}
	case persistence == "u":
		return nil, &TableError{Table: s.table, Reason: "is UNLOGGED: the keys would be lost when the server crashes", Hint: "ALTER TABLE " + s.table + " SET LOGGED"}
	}
	fixed := *s
	fixed.table, fixed.resolved = dbcatalog.Name{Schema: schema, Table: s.name}.SQL(), true
	return &fixed, nil
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
			return &TableError{Table: s.table, Reason: "is not a key table but another one: it has no column " + c.name, Hint: otherTable}
		}
	}
	return &TableError{Table: s.table, Reason: "has no column " + strings.Join(names, ", "), Hint: "run the statements that " + ddlMethod + " returns",
		ddl: addColumns(s.dialect, s.table, missing)}
}

// Ring returns the newest keys of a purpose and scope, and of the older ones at least every search
// key that is still searched for, and every inbox that was not stopped. Writers' keys are in no
// ring.
//
// Epochs are consecutive from 1. A row beyond a gap is no part of the ring ([Key.Stray]): whoever
// may insert rows could otherwise take the last epoch there is.
func (s *Store) Ring(ctx context.Context, purpose Purpose, scope string) (Ring, error) {
	with := fmt.Sprintf("WITH chain AS (SELECT epoch, row_number() OVER (ORDER BY epoch) AS place FROM %s"+
		" WHERE purpose = $1 AND scope = $2 AND epoch > 0),"+
		" top AS (SELECT COALESCE(max(epoch), 0) AS epoch FROM chain WHERE epoch = place) ", s.table)
	from := fmt.Sprintf("(chain CROSS JOIN top JOIN %s k ON k.purpose = $1 AND k.scope = $2 AND k.epoch = chain.epoch)"+
		" ON (chain.place > top.epoch - %d AND chain.place <= top.epoch + %d"+
		" OR k.purpose <> 'data' AND k.retired_at IS NULL AND k.destroyed_at IS NULL AND chain.epoch = chain.place)", s.table, ringDepth, ringStrays)
	columns := s.rowColumns("CASE WHEN k.scope IN "+s.destroyedScopes("scope = $2")+" THEN 1 ELSE 0 END", s.strayColumn("chain.place"))
	tail := fmt.Sprintf(" ORDER BY CASE WHEN chain.epoch = chain.place THEN 0 ELSE 1 END, k.epoch DESC LIMIT %d", ringMost+1)
	var id identified
	var keys []Key
	err := s.answer(ctx, "read", func(ctx context.Context) (err error) {
		id, keys, err = s.query(ctx, with, columns, from, tail, string(purpose), scope)
		return err
	})
	if err != nil {
		return Ring{}, err
	}
	if len(keys) > ringMost {
		return Ring{}, Key{Purpose: purpose, Scope: scope}.invalid(fmt.Sprintf("more than %d keys are live", ringMost))
	}
	ring := Ring{Keyring: id.id, Scoped: id.scoped, Keys: keys, Next: 1}
	for _, k := range keys {
		if k.placement != beyondGap {
			ring.Next = max(ring.Next, k.Epoch+1)
		}
	}
	return ring, nil
}

// Keys returns the keys of the given ids that exist, in any order. [Key.Stray] is not set.
func (s *Store) Keys(ctx context.Context, ids []uint32) ([]Key, error) {
	var all []Key
	for len(ids) > 0 {
		n := min(len(ids), idsPerQuery)
		columns, from, args := s.among(ids[:n])
		var keys []Key
		err := s.answer(ctx, "read", func(ctx context.Context) (err error) {
			_, keys, err = s.query(ctx, "", columns, from, "", args...)
			return err
		})
		if err != nil {
			return nil, err
		}
		all, ids = append(all, keys...), ids[n:]
	}
	return all, nil
}

// among returns what a query of the keys of the given ids consists of.
func (s *Store) among(ids []uint32) (columns, from string, args []any) {
	among, args := amongIDs(ids)
	destroyed := "CASE WHEN k.scope IN " + s.destroyedScopes("scope IN (SELECT scope FROM "+s.table+" WHERE "+among+")") + " THEN 1 ELSE 0 END"
	return s.rowColumns(destroyed, "0"), s.table + " k ON k.key_id <> 0 AND k." + among, args
}

// amongIDs returns the condition that a row is one of ids. Its parameters are the first of the
// statement.
func amongIDs(ids []uint32) (condition string, args []any) {
	marks, args := make([]string, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), int64(id)
	}
	return "key_id IN (" + strings.Join(marks, ", ") + ")", args
}

// Insert adds a key and reports whether it did. It returns false if the id or the epoch is taken,
// or if the keyring's id differs from [Key.Keyring], with which the key was wrapped, or if somebody
// wrapped it again at once. A key that the table does not return is an error. The times are
// the database's, by the defaults of the table: of k's durations Insert uses only SealsFor, and
// only to begin later than now. It names only the columns that the key needs, so that a program's
// role needs INSERT on no others.
func (s *Store) Insert(ctx context.Context, k Key) (bool, error) {
	keyring, err := hex.DecodeString(k.Keyring)
	if err != nil || len(keyring) != idSize {
		return false, CheckID(k.Keyring)
	}
	if err := k.storable("insert", k.Wrapped); err != nil {
		return false, err
	}
	var (
		columns, values []string
		args            []any
	)
	add := func(column, typ string, arg any) {
		args = append(args, arg)
		columns, values = append(columns, column), append(values, fmt.Sprintf("CAST($%d AS %s)", len(args), typ))
	}
	text, binary := textType(s.dialect), bytesType(s.dialect)
	add("key_id", "bigint", int64(k.ID))
	add("purpose", text, string(k.Purpose))
	add("scope", text, k.Scope)
	add("epoch", "bigint", k.Epoch)
	add("kek_id", text, k.Wrapped.KeyID)
	add("wrapped", binary, k.Wrapped.Blob)
	add("seals_reserved", "bigint", int64(k.SealsReserved)) //nolint:gosec // at most maxSeals
	if k.ChangedBy != "" || k.ChangedWhy != "" {
		add("changed_by", text, k.ChangedBy)
		add("changed_why", text, k.ChangedWhy)
	}
	if k.Public != nil {
		add("public", binary, k.Public)
	}
	if k.WrappedTo != 0 {
		add("wrapped_to", "bigint", int64(k.WrappedTo))
	}
	if k.SealsFor < 0 {
		columns, values = append(columns, "seals_from"), append(values, later(s.dialect, k.SealsFor))
	}
	if k.Recovered {
		columns, values = append(columns, "recovered"), append(values, "TRUE")
	}
	// Made twice, the second finds the row of the first, and reports it as another's.
	var n int64
	args = append(args, keyring)
	query := fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM %[1]s i WHERE i.key_id = 0 AND i.wrapped = $%[4]d AND %[5]s ON CONFLICT DO NOTHING",
		s.table, strings.Join(columns, ", "), strings.Join(values, ", "), len(args), durable(s.dialect))
	err = s.answer(ctx, "insert into", func(ctx context.Context) error {
		return s.retried(ctx, "insert into", func(ctx context.Context, conn *sql.Conn) error {
			res, err := conn.ExecContext(ctx, query, args...)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
	})
	if n != 1 || err != nil {
		return false, err
	}
	same := false
	err = s.answer(ctx, "insert into", func(ctx context.Context) error {
		return s.retried(ctx, "insert into", func(ctx context.Context, conn *sql.Conn) (err error) {
			same, err = s.gives(ctx, conn, k)
			return err
		})
	})
	return same, err
}

// gives reports whether the table gives a key as it was stored; false if it was wrapped again. It
// is an error if it gives another one or none: a cell under the key could not be opened.
func (s *Store) gives(ctx context.Context, conn *sql.Conn, k Key) (bool, error) {
	columns, from, args := s.among([]uint32{k.ID})
	_, rows, err := s.queryOn(ctx, conn, "", columns, from, "", args...)
	if err != nil {
		return false, err
	}
	var why error
	switch {
	case len(rows) == 0:
		why = errors.New("it was stored, and is not there")
	case rows[0].Destroyed:
		return false, ScopeDestroyed(rows[0])
	case rows[0].Invalid != nil:
		why = rows[0].Invalid
	case !sameKey(rows[0], k):
		why = errors.New("its row is not what was stored")
	default:
		return rows[0].Wrapped.KeyID == k.Wrapped.KeyID && bytes.Equal(rows[0].Wrapped.Blob, k.Wrapped.Blob), nil
	}
	return false, &Error{Op: "insert", Purpose: k.Purpose, KeyID: k.ID, Scope: k.Scope, Class: ErrKeyInvalid, Cause: why, Hint: alteredHint}
}

// sameKey compares what never changes of a key.
func sameKey(a, b Key) bool {
	return a.Purpose == b.Purpose && a.Scope == b.Scope && a.Epoch == b.Epoch && a.WrappedTo == b.WrappedTo && bytes.Equal(a.Public, b.Public)
}

const alteredHint = "see what of the key table changes or hides its rows: a trigger, a rule, row-level security, or columns without the types and defaults that `colseal ddl` prints"

// Reserve adds n seals to what is reserved of a key and returns the new sum; false
// when that would pass limit, or the key is retired, destroyed or not there. Should the connection
// break, more may be reserved than is told of; that costs seals, not safety.
func (s *Store) Reserve(ctx context.Context, id uint32, n, limit uint64) (sum uint64, ok bool, err error) {
	if n > limit {
		return 0, false, nil
	}
	err = s.answer(ctx, "update", func(ctx context.Context) error {
		return s.retried(ctx, "update", func(ctx context.Context, conn *sql.Conn) (err error) {
			sum, ok, err = s.reserve(ctx, conn, id, n, limit)
			return err
		})
	})
	return sum, ok, err
}

func (s *Store) reserve(ctx context.Context, conn *sql.Conn, id uint32, n, limit uint64) (sum uint64, ok bool, err error) {
	var reserved int64
	err = conn.QueryRowContext(ctx, "UPDATE "+s.table+" SET seals_reserved = seals_reserved + $1"+
		" WHERE key_id = $2 AND seals_reserved <= $3 AND retired_at IS NULL AND destroyed_at IS NULL AND NOT recovered"+
		" RETURNING seals_reserved", int64(n), int64(id), int64(limit-n)).Scan(&reserved) //nolint:gosec // at most maxSeals
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case reserved < 0 || reserved > maxSeals:
		return 0, false, Key{ID: id}.invalid("seals_reserved is not within 0 and 2^32")
	}
	return uint64(reserved), true, nil
}

// Release releases n reserved seals that will never be used.
func (s *Store) Release(ctx context.Context, id uint32, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.answers) // made twice it would release twice
	defer cancel()
	return s.exec(ctx, "update", "UPDATE "+s.table+" SET seals_reserved = seals_reserved - $1"+
		" WHERE key_id = $2 AND seals_reserved >= $3", int64(n), int64(id), int64(n)) //nolint:gosec // at most maxSeals
}

// HurryWhen makes steps fail that take longer than two seconds while hurry reports true. Use it if
// something waits for the keyring that the keyring may be waiting for, such as a transaction that
// holds a connection. Call it before the Store is used.
func (s *Store) HurryWhen(hurry func() bool) { s.hurry = hurry }

// answer runs a step that a program waits for, and that may be made twice.
func (s *Store) answer(ctx context.Context, op string, step func(context.Context) error) error {
	began := time.Now()
	whole, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for bound := s.answers; ; bound *= 2 {
		err, late := s.try(whole, bound, step)
		switch {
		case !late || ctx.Err() != nil:
			return err
		case time.Since(began) < stepTimeout && (s.hurry == nil || !s.hurry()):
		case dbcatalog.SQLState(err) != "":
			return err
		default:
			return fmt.Errorf("keyring: %s key table %s: no answer within %v: %w", op, s.table, time.Since(began).Round(time.Second), context.DeadlineExceeded)
		}
	}
}

// try runs a step once, and reports whether it failed because it took too long.
func (s *Store) try(ctx context.Context, bound time.Duration, step func(context.Context) error) (err error, late bool) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if s.hurry != nil && bound > s.answers {
		watch := time.NewTicker(s.answers)
		defer watch.Stop()
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-watch.C:
					if s.hurry() {
						cancel()
					}
				}
			}
		}()
	}
	err = step(ctx)
	return err, err != nil && (ctx.Err() != nil || errors.As(err, new(lentTooShort)))
}

func (s *Store) exec(ctx context.Context, op, query string, args ...any) error {
	_, err := s.update(ctx, op, query, args...)
	return err
}

func (s *Store) update(ctx context.Context, op, query string, args ...any) (int64, error) {
	var n int64
	err := s.withConn(ctx, op, func(ctx context.Context, conn *sql.Conn) error {
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
func (s *Store) withConn(ctx context.Context, op string, f func(context.Context, *sql.Conn) error) error {
	err := s.onConn(ctx, op, f)
	if op != opCheck && missesColumn(err, "") {
		if told := s.Check(ctx); told != nil {
			return told
		}
	}
	return err
}

// deadTries is how often a step is tried whose connection turns out to be dead: the pool
// may hold a few that the server closed while they were idle.
const deadTries = 3

// retried is withConn for a step that may be made twice.
func (s *Store) retried(ctx context.Context, op string, f func(context.Context, *sql.Conn) error) error {
	for try := 1; ; try++ {
		err := s.withConn(ctx, op, f)
		if try == deadTries || ctx.Err() != nil || !diedIdle(err) {
			return err
		}
	}
}

// diedIdle reports whether an error is of a connection that the server had closed.
func diedIdle(err error) bool {
	switch dbcatalog.SQLState(err) {
	case "57P01", "57P02", "57P03", "57P05", "08003", "08006": // ended by an administrator, a restart, a time-out
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// What steps do that only read, as errors call it.
const (
	opCheck = "check"
	opRead  = "read"
)

// onConn runs f on one connection.
func (s *Store) onConn(ctx context.Context, op string, f func(context.Context, *sql.Conn) error) error {
	if s.invalid != nil {
		return s.invalid
	}
	return s.explain(op, s.onAny(ctx, step{writes: op != opRead && op != opCheck, run: f}))
}

// onOwn runs a step on a connection of the keyring's pool. SQLite refuses at once when another
// connection writes, unless told to wait.
func (s *Store) onOwn(ctx context.Context, st step) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return noConn{err}
	}
	defer func() { _ = conn.Close() }() // back to the pool
	if s.dialect == DialectSQLite {
		// A commit of the keyring's is on disk, whatever the other connections' synchronous says.
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d; PRAGMA synchronous = FULL", s.busyTimeout)); err != nil {
			return err
		}
	}
	return st.run(ctx, conn)
}

// explain turns a database's error into one that says what to do.
func (s *Store) explain(op string, err error) error {
	state, advice := dbcatalog.SQLState(err), ""
	switch {
	case err == nil, errors.As(err, new(*Error)):
		return err
	case state == "42P01",
		s.dialect == DialectSQLite && strings.Contains(err.Error(), "no such table") && !errors.Is(err, ErrNoStageTable):
		return s.noTable()
	case state == "53300" && errors.As(err, new(noConn)):
		advice = "no connection is left for the keyring, and a transaction lends its own for reading only: " +
			"give the context of its beginning the scope, or allow one connection more"
	case state == "42501":
		advice = "grant what Store.Grants returns, and `colseal ddl` prints"
	case s.dialect == DialectSQLite && dbcatalog.SQLiteCode(err)&0xff == sqliteBusy:
		advice = "a transaction that writes keeps the keyring from being written: end it, or let a statement find its keys before it begins"
	}
	return hint.With(fmt.Errorf("keyring: %s key table %s: %w", op, s.table, err), advice)
}

func (s *Store) noTable() error {
	return &TableError{Table: s.table, Class: ErrNoKeyTable, Reason: "does not exist", ddl: s.DDL() + ";",
		Hint: "if the data is from a backup, restore the key table with it: new keys open none of its cells. For new data, " +
			"set AutoCreateKeyTable, run `colseal keys init`, or run the statement that " + ddlMethod + " returns"}
}
