package codec

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// TestArrayNulls: what NULL without quotes is in the text of an array follows array_nulls, in literals and arguments, in every way in
// which the setting changes: the sealed column holds what the plain one beside it does, and errs where it does.
func TestArrayNulls(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for _, query := range []string{
			"CREATE TABLE lists (id int PRIMARY KEY, names bytea, plain text[], numbers bytea, name bytea, word text)",
			"CREATE FUNCTION loosen() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('array_nulls', 'off', false); END$$",
		} {
			if _, err := pg.Admin.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
		kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		lists := schema.Must(schema.Columns("lists", schema.Column{Name: "names", Kind: schema.KindTextArray},
			schema.Column{Name: "numbers", Kind: schema.KindIntArray}, schema.Column{Name: "name", Mode: schema.ModeDeterministic}))
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(mode.String(), func(t *testing.T) {
				cfg, err := pgx.ParseConfig(pg.DSN())
				if err != nil {
					t.Fatal(err)
				}
				cfg.DefaultQueryExecMode = mode
				cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{KMS: kek, AutoCreateKeyTable: true, Schema: lists})
				if err != nil {
					t.Fatal(err)
				}
				db := sql.OpenDB(cn)
				defer db.Close()
				db.SetMaxOpenConns(1)
				conn, err := db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				prepared, err := conn.PrepareContext(t.Context(), "INSERT INTO lists (id, names, plain) VALUES (1, $1, $2)")
				if err != nil {
					t.Fatal(err)
				}
				defer prepared.Close()
				l := &nullLists{T: t, conn: conn, prepared: prepared}
				l.same("as it is by default", "<NULL>")
				l.exec("SET array_nulls = off")
				l.same("set off", "NULL")
				l.exec("SELECT set_config('array_nulls', 'on', false)")
				l.same("by set_config", "<NULL>")
				l.exec("SELECT loosen()")
				l.same("by a function", "NULL")
				l.exec("RESET array_nulls")
				l.same("reset", "<NULL>")
				l.exec("BEGIN")
				l.exec("SET LOCAL array_nulls = off")
				l.same("in a transaction", "NULL")
				l.exec("ROLLBACK")
				l.same("after it", "<NULL>")
				l.exec("UPDATE pg_settings SET setting = 'off' WHERE name = 'array_nulls'")
				l.same("by a view", "NULL")
			})
		}
	})
}

type nullLists struct {
	*testing.T
	conn     *sql.Conn
	prepared *sql.Stmt
}

func (l *nullLists) exec(query string, args ...any) {
	l.Helper()
	if _, err := l.conn.ExecContext(l.Context(), query, args...); err != nil {
		l.Fatalf("%s: %v", query, err)
	}
}

// same writes and searches with NULL in arrays. want is what it is as an element.
func (l *nullLists) same(what, want string) {
	l.Helper()
	const array = `{a,NULL,null,"NULL"}`
	for form, write := range map[string]func() error{
		"argument": func() error {
			_, err := l.conn.ExecContext(l.Context(), "INSERT INTO lists (id, names, plain) VALUES (1, $1, $2)", array, array)
			return err
		},
		"prepared": func() error {
			_, err := l.prepared.ExecContext(l.Context(), array, array)
			return err
		},
		"literal": func() error {
			_, err := l.conn.ExecContext(l.Context(), "INSERT INTO lists (id, names, plain) VALUES (1, '"+array+"', '"+array+"')")
			return err
		},
	} {
		l.exec("DELETE FROM lists")
		if err := write(); err != nil {
			l.Errorf("%s, %s: %v", what, form, err)
			continue
		}
		var sealed, plain, element string
		if err := l.conn.QueryRowContext(l.Context(), "SELECT names, plain::text, COALESCE(plain[2], '<NULL>') FROM lists").Scan(&sealed, &plain, &element); err != nil {
			l.Fatalf("%s, %s: %v", what, form, err)
		}
		if sealed != plain || element != want {
			l.Errorf("%s, %s: sealed as %s, and plain it is %s, whose element is %s, want %s", what, form, sealed, plain, element, want)
		}
	}
	l.exec("DELETE FROM lists")
	for form, args := range map[string][]any{"$1": {"{1,NULL}"}, "'{1,NULL}'": nil} {
		_, err := l.conn.ExecContext(l.Context(), "INSERT INTO lists (id, numbers) VALUES (2, "+form+")", args...)
		if (err != nil) != (want == "NULL") { // no number
			l.Errorf("%s, an int[] by %s: %v", what, form, err)
		}
		l.exec("DELETE FROM lists")
	}
	// A list of values to search for.
	l.exec("INSERT INTO lists (id, name, word) VALUES (3, 'NULL', 'NULL')")
	var sealed, plain int
	// A text of its own each time: in one that the server has prepared the literal stays what it was then.
	count := "SELECT count(*) /* " + what + " */ FROM lists WHERE "
	if err := l.conn.QueryRowContext(l.Context(), count+"word = ANY('{b,NULL}')").Scan(&plain); err != nil {
		l.Fatal(err)
	}
	if err := l.conn.QueryRowContext(l.Context(), count+"name = ANY('{b,NULL}')").Scan(&sealed); err != nil || sealed != plain {
		l.Errorf("%s, a search by a literal finds %d, want %d, %v", what, sealed, plain, err)
	}
	switch err := l.conn.QueryRowContext(l.Context(), count+"name = ANY($1)", "{b,NULL}").Scan(&sealed); {
	case want == "NULL":
		if !errors.Is(err, driver.ErrValue) {
			l.Errorf("%s, a search by an argument: %d, %v, want a refusal", what, sealed, err)
		}
	case err != nil || sealed != plain:
		l.Errorf("%s, a search by an argument finds %d, want %d, %v", what, sealed, plain, err)
	}
}
