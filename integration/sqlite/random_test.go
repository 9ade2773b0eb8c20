package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/colseal/colseal/schema"
)

// perRun is how many statements a run makes.
const perRun = 3000

// setRapid makes a run of so many checks with a new seed, or with those of COLSEAL_SQLITE_COUNT and COLSEAL_SQLITE_SEED.
func setRapid(t *testing.T, checks int) {
	t.Helper()
	for name, value := range map[string]string{
		"rapid.seed":       cmp.Or(os.Getenv("COLSEAL_SQLITE_SEED"), strconv.FormatUint(rand.Uint64N(1<<32)+1, 10)),
		"rapid.checks":     cmp.Or(os.Getenv("COLSEAL_SQLITE_COUNT"), strconv.Itoa(checks)),
		"rapid.nofailfile": "true", // the seed says it all
	} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("COLSEAL_SQLITE_SEED=%s repeats this", flag.Lookup("rapid.seed").Value)
}

var randomSchema = schema.Must(
	schema.Columns("main.users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"}, schema.Column{Name: "ssn"}),
	schema.Columns("archive", schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"}),
	schema.Columns("leads", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "phone", Mode: schema.ModeDeterministic, Kind: schema.KindInt}),
)

func newRandom(t *testing.T) *pair {
	t.Helper()
	p := newPair(t, randomDDL, randomSchema, "SELECT * FROM main.users", "SELECT * FROM archive", "SELECT * FROM leads", "SELECT * FROM orders")
	if p.fill(t); t.Failed() {
		t.FailNow()
	}
	return p
}

// fill makes the tables hold randomRows.
func (p *pair) fill(t reporter) {
	for _, q := range randomRows {
		if v := p.run(t, q); v != works {
			t.Errorf("%s: %s", q, v)
		}
	}
}

// both executes what is about transactions alone on both sides, in whatever state they are.
func (p *pair) both(query string) {
	_, _ = p.sealed.ExecContext(context.Background(), query)
	_, _ = p.twin.ExecContext(context.Background(), query)
}

// TestRandom runs random statements on both sides, each in a transaction that is rolled back.
func TestRandom(t *testing.T) {
	setRapid(t, perRun)
	p := newRandom(t)
	count := map[verdict]int{}
	rapid.Check(t, func(rt *rapid.T) {
		st := statements().Draw(rt, "statement")
		p.both("BEGIN")
		count[p.run(rt, st.sql, st.args...)]++
		p.both("ROLLBACK")
	})
	t.Logf("%v", count)
	if all := count[works] + count[fails] + count[refused]; count[works] < all*2/3 {
		t.Errorf("only %d of %d statements work", count[works], all)
	}
}

// What a session may do at any time, in the place of a random statement.
var steps = []string{
	"BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s", "SAVEPOINT r", "ROLLBACK TO r",
	"ALTER TABLE archive ADD COLUMN extra TEXT", "ALTER TABLE archive DROP COLUMN extra",
	"INSERT OR FAIL INTO orders (id) VALUES (77), (1)",
	"PRAGMA temp_store = MEMORY", "PRAGMA temp_store = FILE", "PRAGMA foreign_keys = ON",
	"CREATE INDEX IF NOT EXISTS mails ON archive (email)", "DROP INDEX IF EXISTS mails", "ANALYZE",
}

// What changes which table the name users means, and what uses that name.
var (
	begins = []string{"BEGIN", "SAVEPOINT s"}
	hides  = []string{
		"CREATE TEMP TABLE users (id INTEGER PRIMARY KEY, email TEXT, ssn TEXT, note TEXT, org INTEGER)",
		"CREATE TEMP TABLE users AS SELECT id, id AS email, id AS ssn, note, org FROM main.users",
	}
	undoes = []string{"INSERT OR ROLLBACK INTO orders (id) VALUES (1)", "UPDATE OR ROLLBACK orders SET id = 7", "ROLLBACK", "ROLLBACK TO s", "DROP TABLE temp.users"}
	uses   = []string{
		"INSERT INTO users (id, email) VALUES (900, 'zqcanary-u') ON CONFLICT (id) DO UPDATE SET email = 'zqcanary-v'",
		"SELECT id, email, ssn FROM users WHERE email = 'zqcanary-a' ORDER BY id", "UPDATE users SET ssn = 'zqcanary-w' WHERE id = 1", "DELETE FROM users WHERE email = 'zqcanary-u'",
	}
)

// prepared are statements that a session may prepare and execute at any later step.
var prepared = []statement{
	{sql: "INSERT INTO users (id, email) VALUES (?, ?)", args: []any{500, "zqcanary-p"}},
	{sql: "SELECT id, email FROM users WHERE email = ? OR id = 1 ORDER BY id", args: []any{"zqcanary-a"}},
	{sql: "SELECT * FROM archive WHERE email = 'zqcanary-a' ORDER BY id"},
	{sql: "INSERT INTO archive VALUES (?, ?, 'm')", args: []any{501, "zqcanary-q"}},
	{sql: "UPDATE users SET ssn = ? WHERE id = 1 RETURNING *", args: []any{"zqcanary-r"}},
}

// TestSessions runs random sequences of statements: transactions and savepoints, temporary tables that hide a sealed
// one, errors that undo them, DDL, and statements that were prepared before all of it. Unqualified names of users may
// mean either table at any time.
func TestSessions(t *testing.T) {
	setRapid(t, perRun/10)
	p := newRandom(t)
	count := map[verdict]int{}
	rapid.Check(t, func(rt *rapid.T) {
		s := &session{pair: p, t: rt}
		defer s.reset()
		for range rapid.IntRange(1, 10).Draw(rt, "length") {
			count[s.step()]++
		}
	})
	t.Logf("%v", count)
	if all := count[works] + count[fails] + count[refused]; count[works] < all/2 {
		t.Errorf("only %d of %d steps work", count[works], all)
	}
}

// A session is one sequence of statements, and what it has prepared.
type session struct {
	*pair
	t        *rapid.T
	begun    bool // it may be in a transaction
	prepared [][2]*sql.Stmt
	of       []statement
}

func (s *session) step() verdict {
	switch n := rapid.IntRange(0, 9).Draw(s.t, "kind"); {
	case n == 8 && len(s.prepared) < 3:
		st := rapid.SampledFrom(prepared).Draw(s.t, "prepare")
		return s.prepare(st)
	case n == 9 && len(s.prepared) > 0:
		return s.execute(rapid.IntRange(0, len(s.prepared)-1).Draw(s.t, "execute"))
	}
	hidden := s.hidden()
	from := steps
	switch n := rapid.IntRange(0, 9).Draw(s.t, "aim"); {
	case n < 3:
		st := statements().Draw(s.t, "statement")
		return s.runHidden(st.sql, st.args...)
	case n < 5:
		from = uses
	case n < 8 && hidden:
		from = undoes
	case n < 8 && s.begun:
		from = hides
	case n < 8:
		from = begins
	}
	query := rapid.SampledFrom(from).Draw(s.t, "step")
	v := s.runHidden(query)
	switch word, _, _ := strings.Cut(query, " "); {
	case v == works && (word == "BEGIN" || word == "SAVEPOINT"):
		s.begun = true
	case v == works && (query == "ROLLBACK" || word == "COMMIT" || word == "END") || v == fails && strings.Contains(query, "OR ROLLBACK"):
		s.begun = false
	}
	return v
}

// runHidden is run; what goes to a temporary table that hides the sealed one is no leak.
func (s *session) runHidden(query string, args ...any) verdict {
	s.plain = s.hidden()
	defer func() { s.plain = false }()
	return s.run(s.t, query, args...)
}

func (s *session) hidden() bool {
	_, rows, err := read(s.twin, "SELECT 1 FROM temp.sqlite_master WHERE name = 'users'")
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	return len(rows) > 0
}

func (s *session) prepare(st statement) verdict {
	var two [2]*sql.Stmt
	for i, conn := range []*sql.Conn{s.sealed, s.twin} {
		var err error
		if two[i], err = conn.PrepareContext(context.Background(), st.sql); err != nil {
			if i == 1 {
				s.t.Errorf("%s: cannot be prepared on the twin: %v", st.sql, err)
			}
			return refused
		}
	}
	s.prepared, s.of = append(s.prepared, two), append(s.of, st)
	return works
}

func (s *session) execute(i int) verdict {
	st := s.of[i]
	s.plain = s.hidden()
	defer func() { s.plain = false }()
	return s.compare(s.t, "prepared "+st.sql, func(conn *sql.Conn) ([]string, []string, error) {
		which := 0
		if conn == s.twin {
			which = 1
		}
		rs, err := s.prepared[i][which].Query(st.args...)
		if err != nil {
			return nil, nil, err
		}
		return readRows(rs, true)
	})
}

// reset ends what the session began and makes the tables what they were.
func (s *session) reset() {
	for _, two := range s.prepared {
		_, _ = two[0].Close(), two[1].Close()
	}
	for _, q := range []string{"ROLLBACK", "DROP TABLE IF EXISTS temp.users", "ALTER TABLE archive DROP COLUMN extra", "DROP INDEX IF EXISTS mails", "PRAGMA foreign_keys = OFF"} {
		s.both(q)
	}
	s.fill(s.t)
}
