package sqlite

import (
	"testing"

	"github.com/colseal/colseal/integration/litetap"
	"github.com/colseal/colseal/schema"
)

// Views that are not registered are read as their definitions say. SQLite writes to none.
func TestViews(t *testing.T) {
	p := newPair(t, `
		CREATE TABLE users (id INTEGER PRIMARY KEY, mail SECRET, ssn SECRET, tag TEXT);
		CREATE TABLE logs (id INTEGER, mail TEXT);
		CREATE VIEW v AS SELECT * FROM users;
		CREATE VIEW renamed(a, b, "C c") AS SELECT id, mail, ssn FROM "users" WHERE tag IS NOT NULL;
		CREATE VIEW nested AS SELECT b AS e, count(*) AS n FROM renamed GROUP BY b;
		CREATE VIEW [odd name] AS SELECT mail FROM 'users';
		CREATE VIEW computes AS SELECT id, upper(mail) AS m FROM users;
		CREATE VIEW compares AS SELECT id FROM users WHERE mail = 'no cell';
		CREATE VIEW plain AS SELECT mail FROM logs;
		CREATE VIEW written AS SELECT id, mail FROM users;
		CREATE TRIGGER w INSTEAD OF INSERT ON written BEGIN INSERT INTO logs VALUES (NEW.id, NEW.mail); END;`,
		schema.Must(schema.Columns("users", schema.Column{Name: "mail", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"})),
		"SELECT * FROM users ORDER BY id", "SELECT * FROM logs")
	p.expect(t, works, "INSERT INTO users VALUES (1,'zqcanary-a','zqcanary-s','t'), (2,'zqcanary-b',NULL,NULL), (3,'zqcanary-a','zqcanary-s','u')")
	p.expect(t, works, "SELECT * FROM v WHERE mail = ? ORDER BY id", "zqcanary-a")
	p.expect(t, works, `SELECT b, "C c" FROM renamed WHERE b = 'zqcanary-a' ORDER BY a`)
	p.expect(t, works, "SELECT e, n FROM nested WHERE e IN ('zqcanary-a', ?)", "zqcanary-b")
	p.expect(t, works, "SELECT * FROM [odd name] WHERE mail = 'zqcanary-b'")
	p.expect(t, works, "SELECT * FROM plain WHERE mail = 'p'")
	p.expect(t, refused, "SELECT id FROM computes WHERE m = 'zqcanary-a'")
	p.expect(t, refused, "SELECT id FROM compares")
	p.expect(t, refused, "INSERT INTO written VALUES (9,'zqcanary-z')")
	p.expect(t, refused, "INSERT INTO v VALUES (9,'zqcanary-z',NULL,NULL)")

	// What the program makes is known to its next statement.
	p.expect(t, works, "CREATE TEMP VIEW ids AS SELECT id, tag FROM users")
	p.expect(t, works, "SELECT id FROM ids WHERE tag = 't'")
	p.expect(t, works, "DROP VIEW nested")
	p.expect(t, works, "CREATE VIEW nested AS SELECT id FROM logs")
	p.expect(t, works, "SELECT id FROM nested WHERE id = 1")
}

// An attached database brings its views, to this connection alone.
func TestAttachedViews(t *testing.T) {
	p := newPair(t, `CREATE TABLE users (id INTEGER PRIMARY KEY, mail SECRET);`,
		schema.Must(schema.Columns("users", schema.Column{Name: "mail", Mode: schema.ModeDeterministic})), "SELECT * FROM main.users ORDER BY id")
	p.expect(t, works, "INSERT INTO users VALUES (1,'zqcanary-a')")
	other := t.TempDir() + "/other.db"
	side := open(t, litetap.Connector{DSN: "file:" + other})
	exec(t, side, "CREATE TABLE users (id INTEGER PRIMARY KEY, mail BLOB); CREATE VIEW v AS SELECT mail AS m, id FROM users")
	p.expect(t, works, "ATTACH ? AS more", other)
	p.expect(t, works, "SELECT m FROM v WHERE m = ?", "zqcanary-a")
	p.expect(t, works, "SELECT m FROM more.v WHERE m = 'zqcanary-a'")
	p.expect(t, works, "DETACH more")
	p.expect(t, fails, "SELECT m FROM v WHERE m = 1")
}
