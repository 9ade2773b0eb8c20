package sqlplan

import (
	"testing"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// What a text that names no sealed table may change.
func TestEffectsOfOtherTexts(t *testing.T) {
	const (
		none    = Effects(0)
		catalog = ChangesCatalog
		session = ChangesSession
		ends    = EndsTransaction
		unknown = CallsUnknown
		makes   = ChangesDependents

		temporary = ChangesTemporary
	)
	p := New(schema.Must(schema.Columns("users", schema.Column{Name: "email"})), dialect.Postgres, Options{})
	for _, tt := range []struct {
		text string
		want Effects
	}{
		{"SELECT 1", none},
		{"SELECT lower(a), count(*), a || b, now(), uuid_generate_v4(), similarity(a, 'x'), ST_Distance(a, b) FROM o WHERE f = ANY($1)", none},
		{"INSERT INTO orders VALUES (1)", none},
		{"WITH x AS (INSERT\nINTO orders VALUES (1) RETURNING 1) TABLE x", none},
		{"MERGE INTO orders USING o ON true WHEN MATCHED THEN DELETE", none},
		{"EXPLAIN SELECT 1", none},
		{"SHOW search_path", none},
		{"SELECT * FROM pg_settings", none},
		{"BEGIN; SAVEPOINT a", none},
		{"RELEASE a", none},
		{"DECLARE c CURSOR FOR SELECT 1", none},

		{"SELECT * INTO TEMP orders FROM o", catalog},
		{"WITH x AS (SELECT 1) SELECT * INTO orders FROM x", catalog},
		{"EXPLAIN ANALYZE CREATE TABLE orders AS SELECT 1", catalog},
		{"CREATE TEMP TABLE orders (a int) ON COMMIT DROP", temporary},
		{"CREATE TEMP TABLE orders AS SELECT 1", temporary},
		{"CREATE TEMP TABLE orders AS SELECT set_config('search_path', 'x', false)", temporary | session},
		{"CREATE TEMP TABLE orders () INHERITS (o)", catalog},
		{"CREATE TEMP VIEW orders AS SELECT 1", catalog},
		{"CREATE UNLOGGED TABLE orders (a int)", catalog},
		{"SET TRANSACTION SNAPSHOT '00000003-0000001B-1'", session | ImportsSnapshot},
		{"COMMIT PREPARED 'x'", catalog | makes},

		{"SELECT set_config('search_path', 'x', false)", session},
		{"SELECT pg_catalog.set_config('search_path', 'x', false)", session},
		{`SELECT U&"set\005fconfig"('search_path', 'x', false)`, session},
		{`SELECT "set_config"('search_path', 'x', false)`, session},
		{"SELECT 1 FROM o WHERE a IN (SELECT set_config('search_path', 'x', false))", session},
		{"INSERT INTO o SELECT set_config('search_path', 'x', true)", session},
		{"DECLARE c CURSOR FOR SELECT set_config('search_path', 'x', false)", session},
		{"UPDATE pg_settings SET setting = 'other' WHERE name = 'search_path'", session},
		{"WITH x AS (UPDATE pg_catalog.pg_settings SET setting = 'other' RETURNING 1) TABLE x", session},
		{"FETCH c", session},
		{"MOVE c", session},
		{"SET search_path = x", session},
		{"SET LOCAL search_path = x", session},
		{"RESET ALL", session},
		{"EXPLAIN ANALYZE EXECUTE p", session | Executes},
		{"EXECUTE p", session | Executes},
		{"CREATE TEMP TABLE t AS EXECUTE p (1)", ChangesTemporary | session | Executes},
		{"EXECUTE users", session | Executes},
		{"PREPARE p AS SELECT 1", none},
		{"COPY (SELECT set_config('search_path', 'x', false)) TO STDOUT", session},
		{"LOAD 'x'", session},

		{"COMMIT", ends},
		{"END", ends},
		{"COMMIT AND CHAIN", ends},
		{"ROLLBACK", ends},
		{"ABORT AND CHAIN", ends},
		{"ROLLBACK TO SAVEPOINT a", ends},
		{"PREPARE TRANSACTION 'x'", ends},

		{"SELECT mine()", unknown},
		{"SELECT app.set_it()", unknown},
		{"SELECT query_to_xml('SELECT 1', true, true, '')", unknown},
		{"SELECT * FROM dblink('x') AS t(a int)", unknown},

		{"DO 'BEGIN END'", catalog | session | makes},
		{"DISCARD ALL", catalog | session | makes},
		{"GRANT USAGE ON SCHEMA app TO users", catalog | session | makes},
		{"CALL p()", catalog | session | unknown},
		{"this is no SQL", catalog | session | makes},
	} {
		plan, err := p.Plan(t.Context(), tt.text, nil)
		if err != nil {
			t.Fatal(tt.text, err)
		}
		if plan.Effects != tt.want {
			t.Errorf("Plan(%q).Effects = %04b, want %04b", tt.text, plan.Effects, tt.want)
		}
	}
}

// A text that names a sealed table has the same effects.
func TestEffectsBesideSealedTables(t *testing.T) {
	p := New(testSchema, dialect.Postgres, Options{})
	env := &Env{Catalog: testCatalog}
	for text, want := range map[string]Effects{
		"SELECT email FROM users": 0,
		"SELECT id FROM users WHERE set_config('search_path','other',false) <> 'x' AND email = $1": ChangesSession,
		"SELECT email, mine(id) FROM users":    CallsUnknown,
		"PREPARE p AS SELECT id FROM users":    Prepares,
		"CREATE TABLE kid () INHERITS (users)": ChangesCatalog | ChangesDependents,
	} {
		plan, err := p.Plan(t.Context(), text, env)
		if err != nil {
			t.Fatal(text, err)
		}
		if plan.Effects != want {
			t.Errorf("Plan(%q).Effects = %04b, want %04b", text, plan.Effects, want)
		}
	}
}
