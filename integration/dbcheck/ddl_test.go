package dbcheck

import (
	"bytes"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
)

const insertUser = `INSERT INTO users (id, email, ssn, "Born On") VALUES ($1, $2, $3, $4)`

// The CHECKs let the driver's cells pass and refuse whatever else another program writes.
func TestBackstop(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, tables)
		run(t, db.Admin, statements(t, ddl.Options{}))
		run(t, db.Admin, statements(t, ddl.Options{})) // again: nothing changes
		sealed := open(t, db)
		if _, err := sealed.Exec(insertUser, 1, "", "", "2001-02-03T00:00:00Z"); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.Exec(insertUser, 2, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.Exec("INSERT INTO app.leads (id, email, phone) SELECT id, email, $1 FROM users", "0123"); err != nil {
			t.Fatalf("a join group's cells: %v", err)
		}
		var email, born, ssn, phone []byte
		if err := db.Admin.QueryRow(`SELECT email, "Born On", ssn, phone FROM users JOIN app.leads USING (id, email)`).Scan(&email, &born, &ssn, &phone); err != nil {
			t.Fatal(err)
		}
		short := bytes.Clone(born[:36])
		for name, row := range map[string][]any{
			"plaintext":                  {"alice@example.com", nil, nil},
			"plaintext text":             {nil, "078-05-1120", nil},
			"text with the prefix":       {nil, "cs1:078-05-1120", nil},
			"empty":                      {[]byte{}, nil, nil},
			"a cell of another column":   {born, nil, nil},
			"another column's, as text":  {nil, string(phone), nil},
			"a deterministic cell":       {nil, nil, email},
			"a cell that was cut":        {nil, nil, short},
			"a cell's text that was cut": {nil, string(ssn[:53]), nil},
			"a cell with more after it":  {nil, string(ssn) + "\n", nil},
		} {
			_, err := db.Admin.Exec(insertUser, append([]any{9}, row...)...)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "23514" {
				t.Errorf("%s: %v, want a check violation", name, err)
			}
		}
		if _, err := db.Admin.Exec(insertUser, 3, nil, string(ssn), born); err != nil {
			t.Errorf("the columns' own cells: %v", err)
		}
		if _, err := db.Admin.Exec("UPDATE users SET ssn = 'x' WHERE id = 1"); err == nil {
			t.Error("an UPDATE stores plaintext")
		}
	})
}

// The type of a column changes only where no value is lost.
func TestChangeOfType(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, `CREATE SCHEMA app; CREATE TABLE app.leads (email bytea, phone text, age bytea); CREATE TABLE found ("Full Name" bytea);
CREATE TABLE users (id int, email text DEFAULT 'x', ssn bigint, "Born On" date); INSERT INTO users VALUES (1, NULL, NULL, '2001-02-03')`)
		text := statements(t, ddl.Options{NotValid: true})
		_, err := db.Admin.Exec(text)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "P0001" || pg.Hint == "" {
			t.Fatalf("a column with values: %v", err)
		}
		run(t, db.Admin, `UPDATE users SET "Born On" = NULL`)
		run(t, db.Admin, text)
		var types string
		if err := db.Admin.QueryRow(`SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'users'::regclass AND attnum > 1`).Scan(&types); err != nil || types != "bytea text bytea" {
			t.Errorf("types %s, %v", types, err)
		}
	})
}

// Under NOT VALID old plaintext may stay, and new is refused.
func TestNotValid(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, tables+"INSERT INTO users (id, email) VALUES (1, 'old')")
		run(t, db.Admin, statements(t, ddl.Options{NotValid: true}))
		if _, err := db.Admin.Exec("INSERT INTO users (id, email) VALUES (2, 'new')"); err == nil {
			t.Error("new plaintext is taken")
		}
		if _, err := db.Admin.Exec(statements(t, ddl.Options{})); err == nil {
			t.Error("a valid CHECK is taken over plaintext")
		}
	})
}
