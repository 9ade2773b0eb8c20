package sqlite

import (
	"database/sql"
	"testing"

	"github.com/colseal/colseal/schema"
)

const usersDDL = `
	CREATE TABLE users (id INTEGER PRIMARY KEY, email SECRET, ssn SECRET, note TEXT);
	CREATE TABLE archive (id INTEGER PRIMARY KEY, email SECRET, memo TEXT);
	CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, memo TEXT);`

var usersSchema = schema.Must(
	schema.Columns("main.users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"}, schema.Column{Name: "ssn"}),
	schema.Columns("archive", schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"}),
)

// newUsers makes a pair with a few rows.
func newUsers(t *testing.T) *pair {
	t.Helper()
	p := newPair(t, usersDDL, usersSchema, "SELECT * FROM users ORDER BY id", "SELECT * FROM archive ORDER BY id", "SELECT * FROM orders ORDER BY id")
	p.expect(t, works, "INSERT INTO users VALUES (1,'zqcanary-a','zqcanary-s','n'), (2,'zqcanary-b',NULL,NULL), (3,NULL,'zqcanary-t','n')")
	p.expect(t, works, "INSERT INTO archive VALUES (1,'zqcanary-a','m'), (3,'zqcanary-c',NULL)")
	p.expect(t, works, "INSERT INTO orders VALUES (1,1,'o'), (2,1,NULL), (3,2,'p')")
	return p
}

// SQLite's RETURNING knows the columns of the target and nothing else, by the table's own name.
func TestReturning(t *testing.T) {
	p := newUsers(t)
	p.expect(t, works, "UPDATE users SET ssn = 'zqcanary-u' FROM archive a WHERE a.id = users.id RETURNING *")
	p.expect(t, works, "UPDATE users AS u SET email = a.email FROM archive a WHERE a.id = u.id RETURNING *, users.email, rowid, note")
	p.expect(t, works, "UPDATE users SET note = memo FROM orders WHERE user_id = users.id RETURNING *")
	p.expect(t, works, "UPDATE orders SET memo = note FROM users WHERE user_id = users.id AND email = 'zqcanary-a' RETURNING *")
	p.expect(t, works, "WITH w AS (SELECT id, email FROM archive) UPDATE users SET email = w.email FROM w WHERE w.id = users.id RETURNING (SELECT max(id) FROM w), users.email")
	p.expect(t, works, "INSERT INTO archive AS x SELECT id + 10, email, note FROM users WHERE true RETURNING *, archive.email")
	p.expect(t, works, "INSERT INTO archive AS x VALUES (1,'zqcanary-d','m') ON CONFLICT (id) DO UPDATE SET email = excluded.email, memo = x.memo RETURNING *")
	p.expect(t, works, "DELETE FROM archive AS x WHERE x.email = 'zqcanary-c' RETURNING archive.memo, *")
	for _, q := range []string{
		"UPDATE users SET ssn = 'zqcanary-u' FROM archive a WHERE a.id = users.id RETURNING a.email",
		"UPDATE users SET ssn = 'zqcanary-u' FROM archive a WHERE a.id = users.id RETURNING memo",
		"UPDATE users AS u SET ssn = 'zqcanary-u' RETURNING u.id",
		"UPDATE users SET ssn = 'zqcanary-u' RETURNING \"nosuch\"", // which SQLite takes for a string
	} {
		p.expect(t, refused, q)
	}
}

// The label of a result column without a name is the text of its expression, as it was written and not as it was sent.
func TestLabels(t *testing.T) {
	p := newUsers(t)
	p.expect(t, works, "SELECT email = ?, ? , (email), id+1, ( email IN (?, ?3) ) /* c */ FROM users -- all", "zqcanary-a", "x", "zqcanary-b")
	p.expect(t, works, "SELECT EXISTS(SELECT 1 FROM users WHERE email=?)", "zqcanary-a")
	p.expect(t, works, "SELECT EXISTS(SELECT 1 FROM users WHERE email=?) -- the end", "zqcanary-a")
	p.expect(t, works, "SELECT coalesce(ssn, :none), CASE email WHEN :a THEN 1 ELSE 2 END FROM users ; ", sql.Named("none", "zqcanary-z"), sql.Named("a", "zqcanary-a"))
	p.expect(t, works, "SELECT * FROM (SELECT email = ?, note COLLATE BINARY IS NULL, users . Email, id + 1, id + 1 FROM users) UNION SELECT 1 = ?, 2, email, 3, 4 FROM archive", "zqcanary-a", 1)
	p.expect(t, works, "WITH w AS (SELECT email = ?, email FROM users) SELECT * FROM w", "zqcanary-a")
	p.expect(t, works, "SELECT id FROM users UNION SELECT email = ? FROM users", "zqcanary-a")
	p.expect(t, works, "SELECT ALL\temail\n=\n ?\n,\"email\" FROM users", "zqcanary-a")
	p.expect(t, works, "UPDATE users SET ssn = ? WHERE id = 1 RETURNING email = ?, id +1, (Email), *", "zqcanary-y", "zqcanary-a")
	p.expect(t, works, "CREATE TABLE made AS SELECT email = ?, id, ? FROM users", "zqcanary-a", 5)
	p.expect(t, works, "SELECT * FROM made")
	p.expect(t, works, "SELECT email = 'zqcanary-a' AS found, ssn FROM users")
	p.expect(t, works, "SELECT id FROM users WHERE email IN (SELECT 'zqcanary-a')")
	p.expect(t, works, "SELECT note COLLATE NOCASE, 'x' || note FROM users WHERE email = ?", "zqcanary-a")
	p.expect(t, works, "SELECT note FROM (SELECT note COLLATE NOCASE FROM users WHERE email = ?)", "zqcanary-a")

	// Names are sent with their schemas, whatever the tables hold.
	p.expect(t, works, "SELECT (SELECT count(*) FROM users), (SELECT id FROM users WHERE email = ?) FROM orders", "zqcanary-a")
	p.expect(t, works, "CREATE TEMP TABLE users (id INTEGER, email TEXT)")
	p.expect(t, works, "SELECT EXISTS(SELECT 1 FROM users), (SELECT count(*) FROM users) FROM orders")
	p.expect(t, works, "DROP TABLE temp.users")

	// A label that holds a value cannot be kept.
	p.expect(t, refused, "SELECT email = 'zqcanary-a' FROM users")
	p.expect(t, refused, "SELECT EXISTS(SELECT 1 FROM users WHERE email='zqcanary-a')")
	p.expect(t, refused, "SELECT * FROM (SELECT coalesce(ssn, 'zqcanary-z') FROM users)")
	// The name of an unnamed expression is its text, never the name of its function.
	p.expect(t, refused, "SELECT max FROM (SELECT max(id) FROM users WHERE email = 'zqcanary-a')")
}
