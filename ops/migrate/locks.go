package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/walk"
)

const (
	// The locks of a transaction that others wait behind are asked for during minLockTimeout in
	// all at first, and then longer each time. Both are far less than the usual deadlock_timeout.
	// So no server logs the wait, or ends a reader that waits for one table and holds another.
	minLockTimeout = 60 * time.Millisecond
	maxLockTimeout = 300 * time.Millisecond
	// idleTimeout ends a transaction of ours whose process was stopped in it.
	idleTimeout = 2 * time.Second

	minPause = 200 * time.Millisecond
	maxPause = time.Second
)

const (
	// aloneLock is the advisory lock of a run: the server holds it until the connection ends, with
	// what was begun over it.
	aloneLock   = "pg_catalog.hashtextextended('colseal migrate', 0)"
	alonePause  = 500 * time.Millisecond
	aloneQuery  = "SELECT pg_catalog.pg_try_advisory_lock(" + aloneLock + ")::pg_catalog.text"
	unlockQuery = "SELECT pg_catalog.pg_advisory_unlock(" + aloneLock + ")"

	// What values and definitions are as text depends on these, and what a statement sees.
	settingsQuery = `SELECT s, pg_catalog.current_setting(s), pg_catalog.set_config(s, v, false)
FROM (VALUES ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('array_nulls', 'on'),
	('quote_all_identifiers', 'off'), ('default_tablespace', ''), ('default_transaction_isolation', 'read committed'), ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0'), ('idle_session_timeout', '0'), ('row_security', 'off')) AS x(s, v)
JOIN pg_catalog.pg_settings p ON pg_catalog.lower(p.name) OPERATOR(pg_catalog.=) pg_catalog.lower(x.s)`
	resettingQuery = `SELECT pg_catalog.set_config($1, $2, false)`
)

// settle sets up the session. undo gives it the settings that it had.
func (m *migration) settle(ctx context.Context) (undo func(), err error) {
	rows, err := m.q.Query(ctx, settingsQuery)
	return func() {
		for _, r := range rows {
			_, _ = m.q.Query(context.WithoutCancel(ctx), resettingQuery, r[0], r[1]) // if the connection is gone, so are they
		}
	}, err
}

// alone waits until no other run is at work in the database. undo lets others begin.
func (m *migration) alone(ctx context.Context) (undo func(), err error) {
	for told := false; ; told = true {
		rows, err := m.q.Query(ctx, aloneQuery)
		if err != nil {
			return nil, err
		}
		if rows[0].Bool(0) {
			break
		}
		if !told {
			m.notice("waiting for another run, or for what one that was killed has begun")
		}
		if err := walk.Pause(ctx, alonePause); err != nil {
			return nil, err
		}
	}
	undo = func() {
		_, _ = m.q.Query(context.WithoutCancel(ctx), unlockQuery) // if the connection is gone, so is the lock
	}
	// Another run may have gone on while this one waited.
	for _, t := range m.tables {
		if err := m.readTable(ctx, t); err != nil {
			undo()
			return nil, fmt.Errorf("table %s: %w", t.label, err)
		}
	}
	return undo, nil
}

// short locks tables and executes statements, in one short transaction. While others hold the
// tables, it asks again, and reports the holders.
func (m *migration) short(ctx context.Context, mode string, tables []string, statements ...string) error {
	if m.locked {
		return m.within(ctx, statements)
	}
	return m.patiently(ctx, tables, func(wait time.Duration) error { return m.transact(ctx, wait, mode, tables, statements, "COMMIT") })
}

// lateLock executes a statement that keeps nobody out while it works, and locks the table for the
// moment of the COMMIT alone. Until others let it, the transaction waits with the work done, and
// with the lock of the statement.
func (m *migration) lateLock(ctx context.Context, table, statement string) error {
	if m.locked {
		return m.within(ctx, []string{statement})
	}
	err := m.patiently(ctx, []string{table}, func(wait time.Duration) error {
		return m.transact(ctx, wait, "", nil, []string{statement},
			fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d", (10*idleTimeout).Milliseconds()), "SAVEPOINT done")
	})
	if err != nil {
		return err
	}
	err = m.patiently(ctx, []string{table}, func(wait time.Duration) error {
		return m.execOr(ctx, "ROLLBACK TO done", fmt.Sprintf("SET LOCAL lock_timeout = %d", wait.Milliseconds()), "LOCK TABLE "+table+" IN "+exclusive+" MODE", "COMMIT")
	})
	if err != nil {
		_, rerr := m.q.Exec(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rerr)
	}
	return nil
}

// patiently calls f, which waits so long for locks on tables, until nobody is in its way.
func (m *migration) patiently(ctx context.Context, tables []string, f func(wait time.Duration) error) error {
	told := ""
	wait := minLockTimeout
	for pause := minPause; ; pause, wait = min(2*pause, maxPause), min(3*wait/2, maxLockTimeout) {
		err := f(wait)
		if walk.ObstacleOf(err) != walk.Contention {
			return err
		}
		if who := m.holders(ctx, tables); who != told {
			m.notice("waiting for a lock on %s; held by %s", strings.Join(tables, ", "), who)
			told = who
		}
		if err := walk.Pause(ctx, pause/2+rand.N(pause/2)); err != nil {
			return err
		}
	}
}

// restOf is the statement before each that may wait for a lock: together they wait so long since
// the transaction began.
func restOf(wait time.Duration) string {
	return fmt.Sprintf("SELECT pg_catalog.set_config('lock_timeout', GREATEST(1, %d - 1000 * pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp()))::pg_catalog.int4::pg_catalog.text, true)", wait.Milliseconds())
}

// locking returns the statements that begin a transaction and lock tables.
func locking(wait time.Duration, mode string, tables []string) []string {
	all := []string{"BEGIN"}
	for _, t := range tables {
		all = append(all, restOf(wait), "LOCK TABLE "+t+" IN "+mode+" MODE")
	}
	return all
}

// transact executes statements in one transaction that waits for no lock for long, up to its end.
func (m *migration) transact(ctx context.Context, wait time.Duration, mode string, tables, statements []string, end ...string) error {
	if mode == "" {
		tables = nil
	}
	all := append(locking(wait, mode, tables), fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d", idleTimeout.Milliseconds()))
	for _, s := range statements {
		all = append(all, restOf(wait), s)
	}
	return m.execOr(ctx, "ROLLBACK", append(all, end...)...)
}

// execOr executes statements in one message, so that a lock lasts no longer than the work, and
// undo if they fail.
func (m *migration) execOr(ctx context.Context, undo string, statements ...string) error {
	_, err := m.q.Exec(ctx, strings.Join(statements, ";\n"))
	if err == nil {
		return nil
	}
	_, uerr := m.q.Exec(context.WithoutCancel(ctx), undo)
	return errors.Join(err, uerr)
}

// withLockTimeout executes a statement outside of a transaction, and bounds its wait for locks.
func (m *migration) withLockTimeout(ctx context.Context, wait time.Duration, statement string) error {
	if _, err := m.q.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", wait.Milliseconds())); err != nil {
		return err
	}
	_, err := m.q.Exec(ctx, statement)
	_, rerr := m.q.Exec(context.WithoutCancel(ctx), "SET lock_timeout = 0")
	return errors.Join(err, rerr)
}

const holdersQuery = `SELECT a.pid::pg_catalog.text, a.application_name, COALESCE(a.state, ''), l.mode,
	COALESCE(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - a.xact_start)::pg_catalog.int8, 0)::pg_catalog.text
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_catalog.pg_backend_pid()
	AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
	AND l.relation = pg_catalog.to_regclass($1) ORDER BY a.xact_start LIMIT 1`

// holders says who holds the tables the longest.
func (m *migration) holders(ctx context.Context, tables []string) string {
	for _, t := range tables {
		rows, err := m.q.Query(ctx, holdersQuery, t)
		if err == nil && len(rows) > 0 {
			r := rows[0]
			return fmt.Sprintf("process %s (%s, %s, %s)", r.Text(0), strings.TrimSpace(r.Text(1)+" "+r.Text(2)), r.Text(3), time.Duration(r.Int(4))*time.Second)
		}
	}
	return "somebody who has gone, or a prepared transaction (pg_prepared_xacts)"
}
