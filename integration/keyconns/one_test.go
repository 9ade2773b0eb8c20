package keyconns

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/pgxseal"
)

// oneConnection makes a role with the documented grants that may have one connection, and returns its address.
func oneConnection(t *testing.T, pg *pgtest.DB) string {
	t.Helper()
	role, dsn := programRole(t, pg)
	exec(t, pg.Admin, "ALTER ROLE "+role+" CONNECTION LIMIT 1")
	return dsn
}

// programRole makes a role with the documented grants, and returns its name and address.
func programRole(t *testing.T, pg *pgtest.DB) (role, dsn string) {
	t.Helper()
	role = "one_" + pg.Name[len(pg.Name)-10:]
	exec(t, pg.Admin, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() {
		_, _ = pg.Admin.Exec("DROP OWNED BY " + role)
		_, _ = pg.Admin.Exec("DROP ROLE " + role)
	})
	grants := keyring.OpenStore(nil, keyring.DialectPostgres, "").Grants(role, role, role, role)
	first, _, _ := strings.Cut(grants, ";") // the program's
	exec(t, pg.Admin, first)
	exec(t, pg.Admin, "GRANT SELECT, INSERT, UPDATE ON users TO "+role)
	u, err := url.Parse(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "x")
	return role, u.String()
}

// A role that may have one connection seals, searches and opens, in transactions too: keys are made, read and reserved over the
// connection that waits for them.
func TestOneConnection(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		dsn := oneConnection(t, pg)
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
				for range 2 { // the second program finds the keys
					db := open(t, direct(t, dsn, mode), w)
					db.SetMaxOpenConns(1)
					for _, scope := range []string{"", "tenant:" + mode.String()} {
						ctx := keyring.WithScope(t.Context(), scope)
						began := time.Now()
						roundTrip(t, ctx, db)
						tx, err := db.BeginTx(ctx, nil)
						if err != nil {
							t.Fatal(err)
						}
						roundTrip(t, ctx, tx)
						if err := tx.Commit(); err != nil {
							t.Fatal(err)
						}
						if d := time.Since(began); d > 5*time.Second {
							t.Errorf("took %v", d)
						}
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		t.Run("many cells", func(t *testing.T) {
			db := open(t, direct(t, dsn, pgx.QueryExecModeExec), w)
			db.SetMaxOpenConns(1)
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			places, values := make([]string, 1000), make([]any, 1000)
			for i := range places {
				places[i], values[i] = fmt.Sprintf("($%d)", i+1), "secret"
			}
			for range 6 {
				exec(t, tx, "INSERT INTO users (ssn) VALUES "+strings.Join(places, ","), values...)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("pgx", func(t *testing.T) {
			conn, err := pgxseal.Connect(t.Context(), dsn, driver.Config{Schema: users, KMS: w})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			ctx := keyring.WithScope(t.Context(), "tenant:pgx")
			tx, err := conn.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO users (email, ssn) VALUES ($1, $2)", "pgx@x", "secret"); err != nil {
				t.Fatal(err)
			}
			var ssn string
			if err := tx.QueryRow(ctx, "SELECT ssn FROM users WHERE email = $1", "pgx@x").Scan(&ssn); err != nil || ssn != "secret" {
				t.Errorf("%q, %v", ssn, err)
			}
			if err := tx.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		})
		if n := count(t, pg.Admin, "SELECT count(*) FROM colseal_keys WHERE purpose IN ('data', 'search')"); n != 2*5 {
			t.Errorf("%d keys of 5 scopes, of which each has two", n)
		}
	})
}

// atGenerate is a KMS that does something before it makes a key.
type atGenerate struct {
	kms.Wrapper
	do atomic.Pointer[func() error]
}

func (k *atGenerate) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	if do := k.do.Swap(nil); do != nil {
		if err := (*do)(); err != nil {
			return kms.DataKey{}, err
		}
	}
	return k.Wrapper.GenerateDataKey(ctx, ec)
}

// A program whose only connection dies while it waits for a key gets another one: the keyring, which could connect meanwhile, does not
// keep the place.
func TestOneConnectionDies(t *testing.T) {
	pg := pgtest.New(t)
	w := &atGenerate{Wrapper: prepare(t, pg)}
	db := open(t, direct(t, oneConnection(t, pg), pgx.QueryExecModeCacheStatement), w)
	db.SetMaxOpenConns(1)
	roundTrip(t, t.Context(), db)
	var pid int
	if err := db.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	die := func() error {
		exec(t, pg.Admin, "SELECT pg_terminate_backend($1, 10000)", pid)
		return nil
	}
	w.do.Store(&die)
	ctx := keyring.WithScope(t.Context(), "tenant:another")
	if _, err := db.ExecContext(ctx, "INSERT INTO users (ssn) VALUES ('secret')"); err == nil {
		t.Error("a statement was executed over a dead connection")
	}
	if n := count(t, pg.Admin, "SELECT count(*) FROM colseal_keys WHERE scope = 'tenant:another' AND purpose = 'data'"); n != 1 {
		t.Fatalf("%d keys were made over a connection of the keyring's own", n)
	}
	roundTrip(t, ctx, db)
}

// A bad connection of somebody else's, the keyring's or a key service's, does not end the program's.
func TestOthersBadConn(t *testing.T) {
	pg := pgtest.New(t)
	w := &atGenerate{Wrapper: prepare(t, pg)}
	conn, err := open(t, direct(t, pg.DSN(), pgx.QueryExecModeCacheStatement), w).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	roundTrip(t, t.Context(), conn)
	exec(t, conn, "CREATE TEMP TABLE session AS SELECT 1")
	bad := func() error { return fmt.Errorf("%w: %w", kms.ErrDenied, sqldriver.ErrBadConn) }
	w.do.Store(&bad)
	_, err = conn.ExecContext(keyring.WithScope(t.Context(), "tenant:another"), "INSERT INTO users (ssn) VALUES ('secret')")
	if !errors.Is(err, kms.ErrDenied) || errors.Is(err, sqldriver.ErrBadConn) {
		t.Error(err)
	}
	exec(t, conn, "TABLE session")
}

type queries interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func roundTrip(t *testing.T, ctx context.Context, db queries) {
	t.Helper()
	email := fmt.Sprintf("%d@x", time.Now().UnixNano())
	if _, err := db.ExecContext(ctx, "INSERT INTO users (email, ssn) VALUES ($1, $2)", email, "secret"); err != nil {
		t.Fatal(err)
	}
	var ssn string
	if err := db.QueryRowContext(ctx, "SELECT ssn FROM users WHERE email = $1", email).Scan(&ssn); err != nil || ssn != "secret" {
		t.Fatalf("%q, %v", ssn, err)
	}
}

// What a transaction lends its connection for leaves no trace in it, and shows only what is committed.
func TestLentInTransaction(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		dsn := oneConnection(t, pg)
		seed := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w)
		for _, scope := range []string{"a", "b", "c", "d"} {
			roundTrip(t, keyring.WithScope(t.Context(), scope), seed)
		}
		exec(t, pg.Admin, `CREATE SCHEMA evil;
			CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
			CREATE FUNCTION evil.octet_length(bytea) RETURNS int LANGUAGE sql AS 'SELECT 0';
			GRANT USAGE ON SCHEMA evil TO PUBLIC; CREATE TABLE evil.colseal_keys (LIKE public.colseal_keys); GRANT ALL ON evil.colseal_keys TO PUBLIC`)

		program := func(t *testing.T) *sql.DB {
			db := open(t, direct(t, dsn, pgx.QueryExecModeExec), w)
			db.SetMaxOpenConns(1)
			for db.PingContext(t.Context()) != nil { // the one before is not gone yet
				if t.Context().Err() != nil {
					t.Fatal("there is no connection to be had")
				}
			}
			return db
		}
		// search looks for something in a scope whose keys are not in memory.
		search := func(tx *sql.Tx, scope string) error {
			ctx, cancel := context.WithTimeout(keyring.WithScope(t.Context(), scope), limit)
			defer cancel()
			var n int
			return tx.QueryRowContext(ctx, "SELECT count(*) FROM public.users WHERE email = $1", "nobody@x").Scan(&n)
		}
		settings := func(t *testing.T, tx *sql.Tx) string {
			t.Helper()
			var s string
			if err := tx.QueryRowContext(t.Context(), "SELECT current_setting('search_path') || ',' || current_setting('statement_timeout') || ',' || current_setting('lock_timeout') || ',' || current_user").Scan(&s); err != nil {
				t.Fatal(err)
			}
			return s
		}
		begin := func(t *testing.T, opts *sql.TxOptions, first string) *sql.Tx {
			t.Helper()
			tx, err := program(t).BeginTx(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = tx.Rollback() })
			exec(t, tx, first)
			return tx
		}
		t.Run("leaves no trace", func(t *testing.T) {
			tx := begin(t, nil, "SET LOCAL search_path = evil, pg_catalog, public")
			exec(t, tx, "SET LOCAL statement_timeout = '7s'")
			exec(t, tx, "SAVEPOINT mine")
			before := settings(t, tx)
			for _, scope := range []string{"a", "b"} {
				if err := search(tx, scope); err != nil {
					t.Error(err)
				}
			}
			if after := settings(t, tx); after != before {
				t.Errorf("settings were %s and are %s", before, after)
			}
			exec(t, tx, "ROLLBACK TO SAVEPOINT mine")
			var locks int
			if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'public.colseal_keys'::regclass").Scan(&locks); err != nil || locks > 0 {
				t.Errorf("%d locks on the keyring, %v", locks, err)
			}
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		})
		// These do not get the keys, say so soon, and the transaction goes on.
		for name, c := range map[string]struct {
			opts         *sql.TxOptions
			first, scope string
		}{
			"repeatable read":   {&sql.TxOptions{Isolation: sql.LevelRepeatableRead}, "SELECT 1", "c"},
			"keyring changed":   {nil, "SELECT touch()", "c"},
			"keys must be made": {nil, "SELECT 1", "new"},
		} {
			t.Run(name, func(t *testing.T) {
				exec(t, pg.Admin, `CREATE OR REPLACE FUNCTION touch() RETURNS void LANGUAGE sql SECURITY DEFINER AS
					'UPDATE public.colseal_keys SET changed_why = changed_why WHERE scope = ''c'''`)
				tx := begin(t, c.opts, c.first)
				began := time.Now()
				ctx := keyring.WithScope(t.Context(), c.scope)
				_, err := tx.ExecContext(ctx, "INSERT INTO public.users (email) VALUES ($1)", "x@x")
				if !errors.Is(err, driver.ErrKeyUnavailable) {
					t.Errorf("got %v", err)
				}
				if d := time.Since(began); d > 6*time.Second {
					t.Errorf("it took %v to say so", d)
				}
				exec(t, tx, "SELECT 1")
				exec(t, tx, "INSERT INTO public.users (email) VALUES ($1)", "y@x")
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
			})
		}
		t.Run("aborted", func(t *testing.T) {
			tx := begin(t, nil, "SELECT 1")
			_, _ = tx.ExecContext(t.Context(), "SELECT 1/0")
			ctx, cancel := context.WithTimeout(keyring.WithScope(t.Context(), "d"), limit)
			defer cancel()
			_, err := tx.ExecContext(ctx, "INSERT INTO public.users (email) VALUES ($1)", "x@x")
			var pgErr *pgconn.PgError
			if !errors.Is(err, driver.ErrKeyUnavailable) && !(errors.As(err, &pgErr) && pgErr.Code == "25P02") {
				t.Errorf("got %v", err)
			}
		})
		t.Run("keyring locked", func(t *testing.T) {
			tx := begin(t, nil, "SELECT 1")
			lock, err := pg.Admin.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			exec(t, lock, "LOCK TABLE colseal_keys")
			err = search(tx, "d")
			if !errors.Is(err, driver.ErrKeyUnavailable) {
				t.Errorf("got %v", err)
			}
			if err := lock.Rollback(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2100 * time.Millisecond) // failures are remembered
			if err := search(tx, "d"); err != nil {
				t.Error(err)
			}
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		})
	})
}

// programs are those that have one connection, by the front that they use and its mode. Each begins transactions of REPEATABLE READ.
func programs(t *testing.T, dsn string, w kms.Wrapper, maxAge time.Duration) map[string]func() *oldTx {
	out := map[string]func() *oldTx{}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		out[mode.String()] = func() *oldTx {
			db := open(t, direct(t, dsn, mode), w, func(c *driver.Config) { c.CatalogMaxAge = maxAge })
			db.SetMaxOpenConns(1)
			for db.PingContext(t.Context()) != nil { // the one before is not gone yet
				if t.Context().Err() != nil {
					t.Fatal("there is no connection to be had")
				}
			}
			roundTrip(t, t.Context(), db)
			return &oldTx{
				begin: func() oldTx {
					tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
					if err != nil {
						t.Fatal(err)
					}
					return oldTx{end: tx.Commit, exec: func(ctx context.Context, query string, args ...any) error {
						_, err := tx.ExecContext(ctx, query, args...)
						return err
					}}
				},
				end: db.Close,
				exec: func(ctx context.Context, query string, args ...any) error {
					_, err := db.ExecContext(ctx, query, args...)
					return err
				},
			}
		}
	}
	out["pgxseal"] = func() *oldTx {
		conn, err := pgxseal.Connect(t.Context(), dsn, driver.Config{Schema: users, KMS: w, CatalogMaxAge: maxAge})
		for ; err != nil && t.Context().Err() == nil; conn, err = pgxseal.Connect(t.Context(), dsn, driver.Config{Schema: users, KMS: w, CatalogMaxAge: maxAge}) {
		}
		if err != nil {
			t.Fatal(err)
		}
		return &oldTx{
			begin: func() oldTx {
				tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
				if err != nil {
					t.Fatal(err)
				}
				return oldTx{end: func() error { return tx.Commit(context.Background()) }, exec: func(ctx context.Context, query string, args ...any) error {
					_, err := tx.Exec(ctx, query, args...)
					return err
				}}
			},
			end: func() error { return conn.Close(context.Background()) },
			exec: func(ctx context.Context, query string, args ...any) error {
				_, err := conn.Exec(ctx, query, args...)
				return err
			},
		}
	}
	return out
}

// oldTx is a connection, or a transaction on it.
type oldTx struct {
	begin func() oldTx
	exec  func(ctx context.Context, query string, args ...any) error
	end   func() error
}

const insertUser = "INSERT INTO users (email, ssn) VALUES ($1, 'secret')"

// A transaction with an old snapshot cannot look at the catalog itself, and where the role has no other connection nobody can. What
// reaches registered tables alone goes on then, and so does what names nothing; all else is refused, whoever made it.
func TestOldSnapshotWithOneConnection(t *testing.T) {
	const maxAge = 100 * time.Millisecond
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		dsn := oneConnection(t, pg)
		role := dsn[strings.Index(dsn, "one_"):strings.Index(dsn, ":x@")]
		exec(t, pg.Admin, "CREATE TABLE other (mail text); GRANT SELECT, INSERT ON other TO "+role)
		for name, start := range programs(t, dsn, w, maxAge) {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				began := time.Now()
				conn := start()
				works := func(in oldTx, query string, args ...any) {
					t.Helper()
					if err := in.exec(ctx, query, args...); err != nil {
						t.Errorf("%s: %+v", query, err)
					}
				}
				works(*conn, insertUser, "before@x")
				tx := conn.begin()
				works(tx, "SELECT count(*) FROM users") // the snapshot
				exec(t, pg.Admin, fmt.Sprintf("DROP VIEW IF EXISTS late; CREATE VIEW late AS SELECT id, email AS mail FROM users; GRANT SELECT, INSERT ON late TO %s", role))
				for range 3 {
					time.Sleep(2 * maxAge)
					works(tx, insertUser, "within@x") // the look in the background is begun
				}
				for range 2 {
					works(tx, "SAVEPOINT s")
					for _, query := range []string{"INSERT INTO late (mail) VALUES ($1)", "INSERT INTO other VALUES ($1)", "WITH u AS (SELECT email FROM users WHERE email = $1) SELECT * FROM late"} {
						err := tx.exec(ctx, query, "canary@x")
						said := fmt.Sprintf("%+v", err)
						if !errors.Is(err, driver.ErrRefused) || !strings.Contains(said, "one more connection") && !(strings.Contains(query, "late") && strings.Contains(said, "younger")) {
							t.Errorf("%s: %+v", query, err)
						}
					}
					works(tx, "SET LOCAL statement_timeout = '7s'")
					works(tx, "SELECT lower('X')")
					works(tx, "SELECT id FROM users WHERE email = $1", "within@x")
					works(tx, "ROLLBACK TO SAVEPOINT s")
					works(tx, insertUser, "within@x")
				}
				if err := tx.end(); err != nil {
					t.Error(err)
				}
				works(*conn, "INSERT INTO other VALUES ($1)", "plain@x")
				works(*conn, "INSERT INTO late (mail) VALUES ($1)", "canary@x")
				if n := count(t, pg.Admin, "SELECT count(*) FROM users WHERE email IN ('canary@x', '\\x"+hex.EncodeToString([]byte("canary@x"))+"')"); n > 0 {
					t.Errorf("stored in plaintext")
				}
				if d := time.Since(began); d > limit/2 {
					t.Errorf("took %v", d)
				}
				if err := conn.end(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// A transaction that is younger than CatalogMaxAge sees a catalog that is young enough: it needs no other connection.
func TestYoungSnapshotWithOneConnection(t *testing.T) {
	const maxAge = 3 * time.Second
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		dsn := oneConnection(t, pg)
		role := dsn[strings.Index(dsn, "one_"):strings.Index(dsn, ":x@")]
		exec(t, pg.Admin, "CREATE VIEW late AS SELECT id, email AS mail FROM users; CREATE TABLE other (mail text); GRANT SELECT, INSERT ON other, late TO "+role)
		for name, start := range programs(t, dsn, w, maxAge) {
			t.Run(name, func(t *testing.T) {
				conn := start()
				if err := conn.exec(t.Context(), insertUser, "before@x"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(maxAge + 100*time.Millisecond)
				tx := conn.begin()
				for _, query := range []string{insertUser, "INSERT INTO other VALUES ($1)", "INSERT INTO late (mail) VALUES ($1)"} {
					if err := tx.exec(t.Context(), query, "within@x"); err != nil {
						t.Errorf("%s: %+v", query, err)
					}
					time.Sleep(maxAge / 10)
				}
				if err := tx.end(); err != nil {
					t.Error(err)
				}
				if err := conn.end(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}
