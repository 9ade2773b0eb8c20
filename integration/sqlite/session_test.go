package sqlite

import (
	"strings"
	"testing"
)

// Pragmas that change what names or texts mean, show what is hidden or damage the file are refused, whatever else the
// text names.
func TestForbiddenPragmas(t *testing.T) {
	p := newUsers(t)
	for _, q := range []string{
		"PRAGMA writable_schema = 1", "PRAGMA writable_schema(ON)", `pragma main."Writable_Schema" = 'yes'`, "/* x */ PRAGMA/**/[writable_schema]=1;",
		"EXPLAIN PRAGMA writable_schema = 1", "EXPLAIN QUERY PLAN PRAGMA writable_schema = 1", // it acts when it is prepared
		"SELECT 1; PRAGMA writable_schema = 1",
		"PRAGMA schema_version = 7", "PRAGMA ignore_check_constraints = 1", "PRAGMA trusted_schema = ON", "PRAGMA legacy_alter_table = 1",
		"PRAGMA temp_store_directory = '/tmp'", "PRAGMA data_store_directory = '/tmp'",
		"PRAGMA count_changes = 1", "PRAGMA full_column_names = 1", "PRAGMA short_column_names = 0", "PRAGMA empty_result_callbacks = 1",
		"PRAGMA vdbe_trace = 1", "PRAGMA no_such_pragma = 1",
	} {
		p.expect(t, refused, q)
		if _, err := p.sealed.PrepareContext(t.Context(), q); err == nil {
			t.Errorf("%s can be prepared", q)
		}
	}
	for _, q := range []string{
		"PRAGMA table_info(orders)", "PRAGMA main.table_xinfo('orders')", "PRAGMA index_list = orders", "PRAGMA writable_schema = OFF", "PRAGMA writable_schema = RESET",
		"PRAGMA trusted_schema = 0", "PRAGMA writable_schema", "PRAGMA foreign_keys = ON", "PRAGMA foreign_keys", "PRAGMA user_version = 3", "PRAGMA user_version",
		"PRAGMA busy_timeout = 5000", "PRAGMA synchronous(1)", "PRAGMA cache_size = -2000", "PRAGMA temp_store = MEMORY", "PRAGMA application_id = 5",
		"PRAGMA recursive_triggers = 1", "PRAGMA defer_foreign_keys = 1", "PRAGMA secure_delete = ON", "PRAGMA case_sensitive_like = 1", "PRAGMA integrity_check(5)",
		"PRAGMA no_such_pragma", "SELECT 'PRAGMA writable_schema = 1'", "SELECT name FROM pragma_table_info('users') ORDER BY name",
	} {
		p.expect(t, works, q)
	}
}

// A failing statement may undo the transaction, and with it a temporary table that hid a sealed one.
func TestTemporaryTableUndone(t *testing.T) {
	const insert = "INSERT INTO users (id, email) VALUES (?, ?)"
	for name, undo := range map[string]string{
		"INSERT OR ROLLBACK":   "INSERT OR ROLLBACK INTO orders (id) VALUES (1)",
		"UPDATE OR ROLLBACK":   "UPDATE OR ROLLBACK orders SET id = 1 WHERE id = 2",
		"conflict clause":      "INSERT INTO strict VALUES (1)",
		"RAISE(ROLLBACK)":      "INSERT INTO raising VALUES (1)",
		"with a sealed column": "INSERT OR ROLLBACK INTO archive (id, email) VALUES (1, 'zqcanary-x')",
		"returning":            "INSERT OR ROLLBACK INTO archive (id, email) VALUES (1, 'zqcanary-x') RETURNING *",
	} {
		t.Run(name, func(t *testing.T) {
			p := newUsers(t)
			p.expect(t, works, "CREATE TABLE strict (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK); ")
			p.expect(t, works, "INSERT INTO strict VALUES (1)")
			p.expect(t, works, "CREATE TABLE raising (id)")
			p.expect(t, works, "CREATE TRIGGER r BEFORE INSERT ON raising BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
			p.expect(t, works, "BEGIN")
			p.expect(t, works, "CREATE TEMP TABLE users (id INTEGER PRIMARY KEY, email TEXT, ssn TEXT, note TEXT)")
			p.expect(t, works, insert, 1, "plain")
			p.expect(t, fails, undo)
			p.expect(t, works, insert, 9, "zqcanary-leak")
		})
	}
	// The same by statements that were prepared before.
	p := newUsers(t)
	p.expect(t, works, "BEGIN")
	p.expect(t, works, "CREATE TEMP TABLE users (id INTEGER PRIMARY KEY, email TEXT, ssn TEXT, note TEXT)")
	write, err := p.sealed.PrepareContext(t.Context(), insert)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = write.Close() }()
	undo, err := p.sealed.PrepareContext(t.Context(), "INSERT OR ROLLBACK INTO orders (id) VALUES (?)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = undo.Close() }()
	if _, err := write.Exec(1, "plain"); err != nil {
		t.Fatal(err)
	}
	if _, err := undo.Exec(1); err == nil {
		t.Fatal("no conflict")
	}
	p.tap.Take()
	if _, err := write.Exec(9, "zqcanary-leak"); err != nil {
		t.Error(err)
	}
	if sent := p.tap.Take(); strings.Contains(sent, mark) {
		t.Errorf("plaintext was sent: %s", sent)
	}
}
