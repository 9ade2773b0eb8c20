package driver_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// Real pgx, the real analysis and a real keyring: the sessions of the design that only
// both sides together can get right.

func openPG(t testing.TB, db *pgtest.DB, service kms.Wrapper, mode pgx.QueryExecMode, sources ...schema.Source) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	if len(sources) == 0 {
		sources = []schema.Source{schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"})}
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: schema.Must(sources...), KMS: service, AutoCreateKeyTable: true})
	if err != nil {
		t.Fatal(err)
	}
	wrapped := sql.OpenDB(cn)
	t.Cleanup(func() {
		if err := wrapped.Close(); err != nil {
			t.Error(err)
		}
	})
	return wrapped
}

// A callback of pgx's sets the search path when a connection is taken from the pool.
func TestPGResetSession(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, `CREATE SCHEMA app; CREATE SCHEMA other;
			CREATE TABLE app.users (id int, email bytea); CREATE TABLE other.users (id int, email text)`)
		cfg, err := pgx.ParseConfig(server.DSN())
		if err != nil {
			t.Fatal(err)
		}
		path := "other"
		reset := stdlib.OptionResetSession(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(context.WithoutCancel(ctx), "SELECT set_config('search_path', $1, false)", path)
			return err
		})
		cn, err := driver.NewConnector(stdlib.GetConnector(*cfg, reset), driver.Config{
			Schema: schema.Must(schema.Columns("app.users", schema.Column{Name: "email"})), KMS: newMemKMS(t), AutoCreateKeyTable: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		defer db.Close()
		db.SetMaxOpenConns(1)
		mustExec(t, db, "SELECT 1") // the callback is for connections that were used before
		st, err := db.Prepare("INSERT INTO users VALUES ($1, $2)")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		for i, p := range []string{"other", "app", "other", "app"} {
			path = p
			mustExec(t, db, "INSERT INTO users VALUES ($1, $2)", i, "a@x")
			if _, err := st.Exec(i, "a@x"); err != nil {
				t.Fatal(err)
			}
		}
		var plain, sealed, cells int
		if err := server.Admin.QueryRow(`SELECT (SELECT count(*) FROM other.users WHERE email = 'a@x'),
			(SELECT count(*) FROM app.users), (SELECT count(*) FROM app.users WHERE get_byte(email, 0) = 1)`).Scan(&plain, &sealed, &cells); err != nil {
			t.Fatal(err)
		}
		if plain != 4 || sealed != 4 || cells != 4 {
			t.Errorf("%d plain, %d sealed of which %d are cells", plain, sealed, cells)
		}
	})
}

// connExec gives a connection the methods without a context.
type connExec struct{ *sql.Conn }

func (c connExec) Exec(query string, args ...any) (sql.Result, error) {
	return c.ExecContext(context.Background(), query, args...)
}

func TestPGSearchPathAndTemporaryTables(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, `CREATE SCHEMA app; CREATE SCHEMA other;
			CREATE TABLE app.users (id int, email bytea, ssn bytea); CREATE TABLE other.users (id int, email text, ssn text)`)
		service := newMemKMS(t)
		for _, mode := range allModes {
			mustExec(t, server.Admin, "TRUNCATE app.users, other.users")
			db := openPG(t, server, service, mode, schema.Columns("app.users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))
			db.SetMaxOpenConns(1)
			insert := "INSERT INTO users VALUES ($1, $2, $3)"
			count := func(want string) {
				t.Helper()
				var got string
				if err := server.Admin.QueryRow(`SELECT count(*) || '/' || (SELECT count(*) FROM other.users WHERE email = 'a@x') FROM app.users WHERE get_byte(email, 0) = 1`).Scan(&got); err != nil || got != want {
					t.Errorf("%s: %s rows, want %s: %v", mode, got, want, err)
				}
			}
			mustExec(t, db, "SET search_path = app")
			mustExec(t, db, insert, 1, "a@x", "s")
			count("1/0")
			mustExec(t, db, "SET search_path = other")
			mustExec(t, db, insert, 2, "a@x", "s")
			count("1/1")
			mustExec(t, db, "INSERT INTO app.users VALUES (3, 'a@x', NULL)")
			count("2/1")

			// What SET LOCAL did is over with the transaction, begun in text or not.
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			mustExec(t, tx, "SET LOCAL search_path = app")
			mustExec(t, tx, insert, 4, "b@x", "s")
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			mustExec(t, db, insert, 5, "a@x", "s")
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text := connExec{conn}
			mustExec(t, text, "BEGIN")
			mustExec(t, text, "SET LOCAL search_path = app")
			mustExec(t, text, insert, 4, "b@x", "s")
			mustExec(t, text, "COMMIT")
			mustExec(t, text, insert, 5, "a@x", "s")
			_ = conn.Close()
			count("4/3")

			// A temporary table shadows; another connection does not see it.
			mustExec(t, db, "SET search_path = app")
			mustExec(t, db, "CREATE TEMP TABLE users (id int, email text, ssn text)")
			mustExec(t, db, insert, 6, "a@x", "s")
			var e string
			if err := db.QueryRow("SELECT email FROM users").Scan(&e); err != nil || e != "a@x" {
				t.Error(e, err)
			}
			db.SetMaxOpenConns(2)
			held, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mustExec(t, db, "SET search_path = app") // the second connection
			mustExec(t, db, insert, 7, "a@x", "s")
			count("5/3")
			_ = held.Close()
		}
	})
}

// Two search paths that mean the same schemas until a further one is created: what the first
// connection then finds is not for the second.
func TestPGSearchPathNamesSchemaMadeLater(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, `CREATE TABLE public.users (id int, email bytea)`)
		db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement, schema.Columns("public.users", schema.Column{Name: "email"}))
		var conns [2]connExec
		for i, path := range []string{"app, public", "public"} {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns[i] = connExec{conn}
			mustExec(t, conns[i], "SET search_path = "+path)
			mustExec(t, conns[i], "UPDATE users SET email = NULL")
		}
		mustExec(t, db, `CREATE SCHEMA app; CREATE TABLE app.users (id int, email text)`)
		for _, c := range conns {
			mustExec(t, c, "INSERT INTO users (id, email) VALUES (1, 'a@x')")
		}
		var plain, cells int
		if err := server.Admin.QueryRow(`SELECT (SELECT count(*) FROM app.users WHERE email = 'a@x'),
			(SELECT count(*) FROM public.users WHERE get_byte(email, 0) = 1)`).Scan(&plain, &cells); err != nil {
			t.Fatal(err)
		}
		if plain != 1 || cells != 1 {
			t.Errorf("%d plain, %d cells", plain, cells)
		}
	})
}

func TestPGNamedArgsAndRefusals(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, "CREATE TABLE users (id int, email bytea, ssn text, note text)")
		service := newMemKMS(t)
		for _, mode := range allModes {
			mustExec(t, server.Admin, "TRUNCATE users")
			db := openPG(t, server, service, mode)
			mustExec(t, db, "INSERT INTO users (id, email, ssn, note) VALUES (@id, @mail, @ssn, @mail)", pgx.NamedArgs{"id": 1, "mail": "a@x", "ssn": nil})
			mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (2, 'b@x', 'lit'), ($1, $2::text, 'lit')", 3, "c@x")
			mustExec(t, db, "INSERT INTO users (id, email) VALUES (4, 'd@x'); UPDATE users SET ssn = 'multi' WHERE email = 'd@x'")
			var id int
			var ssn, note *string
			for mail, want := range map[string]string{"b@x": "lit", "c@x": "lit", "d@x": "multi"} {
				if err := db.QueryRow("SELECT id, ssn FROM users WHERE email = @mail", pgx.NamedArgs{"mail": mail}).Scan(&id, &ssn); err != nil || ssn == nil || *ssn != want {
					t.Errorf("%s: %s: %v", mode, mail, err)
				}
			}
			if err := db.QueryRow("SELECT ssn, note FROM users WHERE email = ANY($1)", []string{"a@x"}).Scan(&ssn, &note); err != nil || ssn != nil || *note != "a@x" {
				t.Errorf("%s: %v", mode, err)
			}
			for _, q := range []string{"SELECT id FROM users WHERE email LIKE $1", "SELECT id FROM users WHERE ssn = $1"} {
				if _, err := db.Query(q, canary); !errors.Is(err, driver.ErrRefused) || strings.Contains(err.Error(), canary) {
					t.Errorf("%s: %v", q, err)
				}
			}
		}
	})
}

// In some encodings the server would find other strings in a text than the analysis.
func TestPGForeignEncoding(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, "CREATE TABLE users (id int, email bytea)")
		for encoding, refused := range map[string]bool{"GBK": true, "UTF8": false} {
			cfg, err := pgx.ParseConfig(server.DSN())
			if err != nil {
				t.Fatal(err)
			}
			cfg.RuntimeParams["client_encoding"] = encoding
			cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{
				Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email"})), KMS: newMemKMS(t), KeyTable: "keys_" + strings.ToLower(encoding), AutoCreateKeyTable: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(cn)
			defer db.Close()
			if _, err := db.Exec("INSERT INTO users VALUES (1, 'a@x')"); errors.Is(err, driver.ErrRefused) != refused || !refused && err != nil {
				t.Errorf("%s: %v", encoding, err)
			}
			mustExec(t, db, "SELECT 1")
		}
	})
}

// A server with an encoding of one byte folds letters beyond ASCII, too: ÉTAT without quotes may be état there.
func TestPGBareNames(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		name := server.Name + "_latin1"
		mustExec(t, server.Admin, "CREATE DATABASE "+name+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
		defer mustExec(t, server.Admin, "DROP DATABASE "+name+" WITH (FORCE)")
		for database, refused := range map[string]bool{name: true, server.Name: false} {
			cfg, err := pgx.ParseConfig(server.DSN())
			if err != nil {
				t.Fatal(err)
			}
			cfg.Database, cfg.RuntimeParams["client_encoding"] = database, "UTF8"
			plain := stdlib.OpenDB(*cfg)
			defer plain.Close()
			mustExec(t, plain, `CREATE TABLE "état" (id int, email bytea, "né" int)`)
			address, err := url.Parse(server.DSN())
			if err != nil {
				t.Fatal(err)
			}
			address.Path = database
			byPQ, err := pq.NewConnector(address.String())
			if err != nil {
				t.Fatal(err)
			}
			service := newMemKMS(t)
			for _, below := range []sqldriver.Connector{stdlib.GetConnector(*cfg), byPQ} {
				cn, err := driver.NewConnector(below, driver.Config{
					Schema: schema.Must(schema.Columns(`"état"`, schema.Column{Name: "email"})), KMS: service, AutoCreateKeyTable: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				db := sql.OpenDB(cn)
				defer db.Close()
				for _, text := range []string{"INSERT INTO état (id, email) VALUES (1, $1)", `INSERT INTO "état" (id, email, né) VALUES (1, $1, 1)`} {
					if _, err := db.Exec(text, canary); errors.Is(err, driver.ErrRefused) != refused || !refused && err != nil {
						t.Errorf("%s, %T: %s: %v", database, below, text, err)
					}
				}
				if _, err := db.Exec("INSERT INTO État (id, email) VALUES (1, $1)", canary); err == nil || refused && !errors.Is(err, driver.ErrRefused) {
					t.Errorf("%s, %T: another case: %v", database, below, err)
				}
				mustExec(t, db, `INSERT INTO "état" (id, email, "né") VALUES (2, 'É', 1)`)
				mustExec(t, db, "SELECT 'É' AS é")
			}
		}
	})
}

// DDL in a transaction that is rolled back, and DDL by others.
func TestPGCatalogFollows(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, "CREATE TABLE users (id int, email bytea, ssn bytea)")
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeDescribeExec)
	mustExec(t, db, "INSERT INTO users VALUES (1, 'a@x', 's')")
	star := func(q interface {
		QueryRow(string, ...any) *sql.Row
	}, n int) {
		t.Helper()
		dest := make([]any, n)
		for i := range dest {
			dest[i] = new(any)
		}
		if err := q.QueryRow("SELECT * FROM users").Scan(dest...); err != nil || *dest[1].(*any) != "a@x" {
			t.Errorf("%v, %v", *dest[1].(*any), err)
		}
	}
	star(db, 3)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "ALTER TABLE users ADD COLUMN x int")
	star(tx, 4)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	star(db, 3)
	mustExec(t, server.Admin, "ALTER TABLE users ADD COLUMN y int")
	star(db, 4)
	star(db, 4)
}

// What others add to a table is not refused because of what is remembered of it, in a
// transaction either; in one that has failed the refusal stands.
func TestPGColumnAddedElsewhere(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, "CREATE TABLE users (id int, email bytea)")
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement, schema.Columns("users", schema.Column{Name: "email"}))
	mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, 'a@x')")
	mustExec(t, server.Admin, "ALTER TABLE users ADD COLUMN x int")
	mustExec(t, db, "UPDATE users SET x = 1, email = $1 WHERE id = 1", "b@x")

	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, server.Admin, "ALTER TABLE users ADD COLUMN y int")
	mustExec(t, tx, "UPDATE users SET y = 1 WHERE email IS NOT NULL AND id = 1")
	if _, err := tx.Exec("SELECT 1/0"); err == nil {
		t.Fatal("no error")
	}
	if _, err := tx.Exec("UPDATE users SET z = 1 WHERE email IS NOT NULL"); !errors.Is(err, driver.ErrRefused) {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustExec(t, server.Admin, "ALTER TABLE users DROP COLUMN email")
	if _, err := db.Exec("UPDATE users SET id = 1 WHERE nosuch = 2"); !errors.Is(err, driver.ErrRefused) {
		t.Error(err)
	}
	rows := [][]any{{7, "c@x"}}
	if _, err := driver.CopyFrom(t.Context(), conn, "users", []string{"id", "email"}, rows); err == nil {
		t.Error("copied to a column that is not there")
	}
	mustExec(t, server.Admin, "ALTER TABLE users ADD COLUMN email bytea")
	if n, err := driver.CopyFrom(t.Context(), conn, "users", []string{"id", "email"}, rows); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// A column that is missing stops only the statements that need it: before the migration of a
// new release, and after a column was dropped.
func TestPGColumnMissing(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, "CREATE TABLE users (id int PRIMARY KEY, email bytea, note text)")
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement)
	works := func() {
		t.Helper()
		mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email RETURNING *", "a@x")
		mustExec(t, db, "UPDATE users SET note = $1 WHERE email = $2", "n", "a@x")
		var id int
		var email, note any
		if err := db.QueryRow("SELECT * FROM users WHERE email = 'a@x'").Scan(&id, &email, &note); err != nil || email != "a@x" || note != "n" {
			t.Error(email, note, err)
		}
		mustExec(t, db, "DELETE FROM users WHERE id = 1")
	}
	needs := []string{
		"INSERT INTO users VALUES (2, 'b@x', 'secret')", "UPDATE users SET ssn = 'secret'", "INSERT INTO users (id, ssn) VALUES (2, 'secret')",
		"SELECT ssn FROM users", "SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM users v WHERE ssn = 'secret')",
	}
	works()
	for _, q := range needs {
		if _, err := db.Exec(q); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s: %v, want a refusal", q, err)
		}
	}
	mustExec(t, server.Admin, "ALTER TABLE users ADD COLUMN ssn bytea")
	time.Sleep(5100 * time.Millisecond) // the table is not asked for at every refusal
	mustExec(t, db, "INSERT INTO users (id, ssn) VALUES (2, 'secret')")
	var ssn string
	if err := db.QueryRow("SELECT ssn FROM users WHERE id = 2").Scan(&ssn); err != nil || ssn != "secret" {
		t.Error(ssn, err)
	}
	mustExec(t, server.Admin, "ALTER TABLE users DROP COLUMN ssn")
	works()
	if _, err := db.Exec("UPDATE users SET ssn = 'secret'"); err == nil {
		t.Error("a column was updated that is not there")
	}
}

// Text for a sealed column of bytes means what it means for a plain one.
func TestPGBytesAsText(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, "CREATE TABLE files (id int, plain bytea, sealed bytea)")
		db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement,
			schema.Columns("files", schema.Column{Name: "sealed", Mode: schema.ModeDeterministic, Kind: schema.KindBytes}))
		for _, text := range []string{`\x0102`, `\xab CD`, `a\\b`, `\001z`, `abc`, ``} {
			mustExec(t, db, "INSERT INTO files VALUES (1, '"+text+"', '"+text+"'), (2, '"+text+"'::bytea, '"+text+"'::bytea), (3, $1, $2)", text, text)
		}
		rows, err := db.Query("SELECT id, plain, sealed FROM files")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int
			var plain, sealed []byte
			if err := rows.Scan(&id, &plain, &sealed); err != nil || string(plain) != string(sealed) {
				t.Errorf("%d: %q was sealed as %q, %v", id, plain, sealed, err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRow(`SELECT count(*) FROM files WHERE sealed = ANY('{"\\x0102"}') AND sealed = $1`, []byte{1, 2}).Scan(&n); err != nil || n != 3 {
			t.Errorf("%d rows found, %v", n, err)
		}
	})
}

// Where bytea_output is escape, which old programs ask for, a bytea that comes as text is another one than
// pgx reads: cells and the keyring's keys are read all the same.
func TestPGBytesEscaped(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, pgUsers)
		mustExec(t, server.Admin, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database()); END $$`)
		service := newMemKMS(t)
		for i, mode := range allModes {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
				db := openPG(t, server, service, mode, pgSealed) // which reads the keyring again
				mustExec(t, db, pgInsert, i, fmt.Sprint("a@example.com ", i), `078\05`, "n")
				var email, ssn string
				if err := db.QueryRow("SELECT email, ssn FROM users WHERE email = $1", fmt.Sprint("a@example.com ", i)).Scan(&email, &ssn); err != nil ||
					email != fmt.Sprint("a@example.com ", i) || ssn != `078\05` {
					t.Errorf("got %q and %q, %v", email, ssn, err)
				}
				var all string
				if err := db.QueryRow(pgAggregate).Scan(&all); err != nil || !strings.Contains(all, email) {
					t.Errorf("got %q, %v", all, err)
				}
			})
		}
	})
}
