package stages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// A kind is a kind of statement.
type kind struct {
	sql  string
	args []any
	// refused: it cannot work on sealed columns, so that it is refused in sealed and only, and observed in copy.
	refused bool
	// terms: it is not, if the columns have terms for it.
	terms bool
	// empties: in copy it makes the companion NULL, so that it must not be sent any more when another program is in sealed.
	empties bool
	ordered bool
	rows    bool   // it uses whole rows
	only    string // the dialect in which it can be written; "": both
}

func on(d dialect.Dialect, k kind) kind {
	k.only = d.String()
	return k
}

// kinds are run one after another. $n is ?n on SQLite.
var kinds = []kind{
	{sql: "INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)", args: []any{1, "a@x", "111"}},
	{sql: "INSERT INTO users (id, email, ssn) VALUES (2, 'b@x', '222'), ($1, NULL, $2)", args: []any{3, "333"}},
	{sql: "INSERT INTO users VALUES ($1, $2, $3, $4)", args: []any{4, "d@x", "n4", "444"}},
	{sql: "INSERT INTO users VALUES ($1, $2)", args: []any{5, "e@x"}, only: "PostgreSQL"},
	{sql: "INSERT INTO users (id, email) VALUES ($1, $2) RETURNING *", args: []any{6, "f@x"}},
	{sql: "INSERT INTO users (email, id, ssn) VALUES ($2, $1, $2) RETURNING id, email AS mail, ssn", args: []any{7, "g@x"}},
	{sql: "INSERT INTO users (id, email) VALUES ($1, $2)", args: []any{8, "a@x"}}, // a duplicate
	{sql: "INSERT INTO users (id, email) SELECT $1, $2", args: []any{9, "i@x"}},
	{sql: "INSERT INTO users (id, note) VALUES ($1, $2)", args: []any{10, "no mail"}},
	{sql: "INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET email = excluded.email, note = 'again', ssn = $3", args: []any{11, "a@x", "121"}},
	{sql: "INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING", args: []any{12, "b@x"}},
	{sql: "INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = excluded.email WHERE users.email <> excluded.email RETURNING users.*", args: []any{1, "a2@x"}, only: "PostgreSQL"},
	{sql: "INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = excluded.email WHERE users.email <> excluded.email RETURNING *", args: []any{1, "a2@x"}},
	{sql: "INSERT INTO orders (id, email) SELECT id + 100, email FROM users WHERE email = $1 OR id < $2", args: []any{"i@x", 5}},
	{sql: "INSERT INTO orders VALUES ($1, $2), ($3, $4)", args: []any{1, "a2@x", 2, "b@x"}},
	on(dialect.SQLite, kind{sql: "REPLACE INTO orders (id, email) VALUES ($1, $2)", args: []any{2, "d@x"}}),
	on(dialect.Postgres, kind{sql: "MERGE INTO users u USING (SELECT 1) s ON u.id = $1 WHEN MATCHED THEN UPDATE SET email = $2 WHEN NOT MATCHED THEN INSERT (id, email) VALUES ($1, $2)", args: []any{13, "m@x"}}),
	on(dialect.Postgres, kind{sql: "MERGE INTO users u USING (SELECT 1) s ON u.id = $1 WHEN MATCHED THEN UPDATE SET email = $2 WHEN NOT MATCHED THEN INSERT (id, email) VALUES ($1, $2)", args: []any{13, "m2@x"}}),
	{sql: "UPDATE users SET email = $1 WHERE email = $2", args: []any{"b2@x", "b@x"}},
	{sql: "UPDATE users SET email = $1, note = $1 WHERE id = $2", args: []any{"d2@x", 4}},
	{sql: "UPDATE users SET (email, note) = ($1, $2) WHERE id = $3 RETURNING id, email, note", args: []any{"e2@x", "row", 5}},
	on(dialect.Postgres, kind{sql: "UPDATE users SET (email) = ROW($1), (ssn) = ROW('999') WHERE id = $2", args: []any{"f2@x", 6}}),
	on(dialect.SQLite, kind{sql: "UPDATE users SET (email) = ($1), [ssn] = '999' WHERE id = $2", args: []any{"f2@x", 6}}),
	{sql: "UPDATE users SET email = COALESCE($1, email), ssn = NULL WHERE id = $2", args: []any{nil, 6}},
	{sql: "UPDATE users SET email = CASE WHEN $1 <> '' THEN $1 ELSE email END WHERE id = $2", args: []any{"", 7}},
	{sql: "UPDATE users SET email = NULLIF($1, '') WHERE id = $2", args: []any{"", 10}},
	{sql: "UPDATE users AS u SET ssn = $1 FROM orders o WHERE o.email = u.email AND o.id = $2", args: []any{"joined", 1}},
	{sql: `UPDATE users SET "email" = $1 WHERE id = $2 RETURNING *`, args: []any{"j@x", 10}},
	{sql: "UPDATE users SET email = $1 WHERE id = $2", args: []any{"a2@x", 10}}, // a duplicate
	{sql: "WITH moved AS (UPDATE users SET email = $1 WHERE id = $2 RETURNING id, email) SELECT * FROM moved", args: []any{"k@x", 10}, only: "PostgreSQL"},
	{sql: "UPDATE users SET email = lower(email) WHERE id = $1", args: []any{1}, refused: true, empties: true},
	{sql: "UPDATE users SET email = email || 'y' WHERE id = $1", args: []any{2}, refused: true, empties: true},
	{sql: "UPDATE users SET email = (SELECT o.email || o.id FROM orders o ORDER BY o.id LIMIT 1) WHERE id = $1", args: []any{2}, refused: true, empties: true},
	{sql: "INSERT INTO users (id, email) VALUES ($1, lower($2))", args: []any{20, "LOW@X"}, refused: true, empties: true},
	{sql: "INSERT INTO users (id, email) SELECT id + 50, note || id FROM users WHERE id = 1", refused: true, empties: true},
	{sql: "SELECT * FROM users"},
	{sql: "SELECT u.*, u.id AS again FROM users u WHERE u.email = $1", args: []any{"a2@x"}},
	{sql: "SELECT id, email FROM users WHERE email IN ($1, 'd2@x') OR email IS NULL", args: []any{"e2@x"}},
	on(dialect.Postgres, kind{sql: "SELECT id FROM users WHERE email = ANY($1)", args: []any{[]string{"a2@x", "g@x"}}}),
	{sql: "SELECT id FROM users WHERE email <> $1", args: []any{"a2@x"}},
	{sql: "SELECT email, count(*) FROM orders GROUP BY email"},
	{sql: "SELECT DISTINCT email FROM orders"},
	{sql: "SELECT count(email), count(DISTINCT email) FROM orders"},
	{sql: "SELECT o.id, u.email FROM orders o JOIN users u ON u.email = o.email"},
	{sql: "SELECT o.id, u.* FROM orders o LEFT JOIN users u ON u.email = o.email AND u.id < 5"},
	{sql: "SELECT e FROM (SELECT email AS e, ssn FROM users) s WHERE e = $1", args: []any{"a2@x"}},
	{sql: "SELECT * FROM (SELECT * FROM users) s WHERE email = $1", args: []any{"a2@x"}},
	{sql: "WITH w AS (SELECT * FROM users) SELECT w.* FROM w WHERE w.email = $1", args: []any{"a2@x"}},
	{sql: "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.email = o.email)"},
	{sql: "SELECT id FROM orders WHERE email IN (SELECT email FROM users WHERE id < 6)"},
	{sql: "SELECT email FROM users UNION SELECT email FROM orders"},
	{sql: "SELECT CASE WHEN id = 1 THEN NULL ELSE email END FROM users", only: "PostgreSQL"},
	{sql: "SELECT COALESCE(email, email) AS c, ssn FROM users"},
	{sql: "SELECT * FROM users u, orders o WHERE o.email = u.email"},
	{sql: "SELECT * FROM users JOIN orders USING (id)"},
	{sql: "SELECT id, email FROM users ORDER BY id LIMIT 3", ordered: true},
	{sql: "SELECT email FROM users ORDER BY email", refused: true, ordered: true},
	{sql: "SELECT lower(email) FROM users", refused: true},
	{sql: "SELECT id FROM users WHERE email LIKE $1", args: []any{"%x"}, refused: true, terms: true},
	{sql: "SELECT id FROM users WHERE ssn = $1", args: []any{"444"}, refused: true, terms: true},
	{sql: "SELECT id, ssn FROM users WHERE NOT ssn IN ($1, '999') OR id = 1", args: []any{"444"}, refused: true, terms: true},
	on(dialect.Postgres, kind{sql: "SELECT id FROM users WHERE lower(email) = lower($1) AND ssn = $2 OR email ILIKE $3", args: []any{"A2@x", "121", "E%"}, refused: true, terms: true}),
	on(dialect.Postgres, kind{sql: "SELECT o.id FROM orders o JOIN users u ON lower(u.email) = lower(o.email) AND NOT starts_with(u.ssn, $1)", args: []any{"4"}, refused: true, terms: true}),
	on(dialect.Postgres, kind{sql: "SELECT count(*) FROM orders GROUP BY lower(email)", refused: true, terms: true}),
	on(dialect.SQLite, kind{sql: "SELECT id FROM users WHERE email GLOB $1 AND ssn GLOB '1*'", args: []any{"a*"}, refused: true, terms: true}),
	on(dialect.Postgres, kind{sql: "INSERT INTO orders (id, email) SELECT id + 200, email FROM users WHERE email LIKE $1 || '%'", args: []any{"e"}, refused: true, terms: true}),
	on(dialect.Postgres, kind{sql: "UPDATE users SET email = CASE WHEN email LIKE $1 THEN $2 ELSE email END, ssn = $3 WHERE ssn LIKE '12%' RETURNING id, email", args: []any{"a%", "A3@x", "129"}, refused: true, terms: true}),
	on(dialect.Postgres, kind{sql: "UPDATE users SET email = $1 WHERE lower(email) = $2", args: []any{"a2@x", "a3@x"}, refused: true, terms: true}),
	on(dialect.Postgres, kind{sql: "DELETE FROM users WHERE ssn LIKE $1 RETURNING *", args: []any{"33%"}, refused: true, terms: true}),
	{sql: "SELECT max(email) FROM users", refused: true},
	{sql: "SELECT * FROM users JOIN orders USING (email)", refused: true},
	on(dialect.Postgres, kind{sql: "TABLE users"}),
	on(dialect.Postgres, kind{sql: "SELECT u.id, row_to_json(u)::text, to_jsonb(u.*)::text AS j, u FROM users u", refused: true, rows: true}),
	on(dialect.Postgres, kind{sql: "SELECT o.id, u::text, count(u) FROM orders o LEFT JOIN users u ON u.id = o.id GROUP BY o.id, u.id, u", refused: true, rows: true}),
	on(dialect.Postgres, kind{sql: "SELECT id FROM users WHERE users IS NOT NULL OR ROW(users.*) IS NULL", refused: true, rows: true}),
	on(dialect.Postgres, kind{sql: "SELECT o.id, count(u), count(u.*) FROM orders o LEFT JOIN users u ON u.email = o.email AND u.id <> $1 GROUP BY o.id", args: []any{1}}),
	on(dialect.Postgres, kind{sql: "SELECT o.id FROM orders o LEFT JOIN users u ON u.email = o.email AND u.id <> $1 WHERE u IS NULL", args: []any{1}}),
	on(dialect.Postgres, kind{sql: "SELECT id, users IS NULL, users.* IS NOT NULL, users IS DISTINCT FROM NULL FROM users", rows: true}),
	on(dialect.Postgres, kind{sql: "SELECT v IS NULL, v IS NOT NULL FROM (SELECT u.email, o.email AS e FROM orders o LEFT JOIN users u ON u.email = o.email) v"}),
	on(dialect.Postgres, kind{sql: "SELECT w IS NULL, w IS NOT NULL, num_nonnulls(w) FROM (SELECT 1) one LEFT JOIN users AS w(a, b) ON w.a = $1", args: []any{0}, rows: true}),
	on(dialect.Postgres, kind{sql: "SELECT json_agg(u ORDER BY u.id)::text FROM (SELECT * FROM users) u", refused: true, rows: true}),
	on(dialect.Postgres, kind{sql: "UPDATE users SET note = row_to_json(users)::text WHERE id = $1 RETURNING (users).email, users", args: []any{7}, refused: true, rows: true}),
	{sql: "DELETE FROM users WHERE email = $1 RETURNING *", args: []any{"d2@x"}},
	{sql: "DELETE FROM users WHERE id = $1 RETURNING email AS gone", args: []any{9}},
	{sql: "DELETE FROM orders WHERE email IN (SELECT email FROM users WHERE id = $1)", args: []any{1}},
	{sql: "DELETE FROM users WHERE id > $1", args: []any{13}},
}

// pairs are the stages that may be side by side.
var pairs = [][2]stage{
	{schema.StageNone, schema.StageCopy}, {schema.StageCopy, schema.StageCopy}, {schema.StageCopy, schema.StageSealed},
	{schema.StageSealed, schema.StageSealed}, {schema.StageSealed, schema.StageOnly}, {schema.StageOnly, schema.StageOnly},
}

func pairName(p [2]stage) string {
	name := func(s stage) string {
		if s == schema.StageNone {
			return "without"
		}
		return s.String()
	}
	return name(p[0]) + "+" + name(p[1])
}

func TestPairs(t *testing.T) {
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) { pairsOf(t, pg, plain, fronts) })
}

// Options of sealed columns change, of those whose cells stand in columns of their own names, and in companions.
func TestPairsOfOptions(t *testing.T) {
	pg := pgtest.New(t)
	for i, from := range families[1:] {
		t.Run(from.name, func(t *testing.T) { pairsOf(t, pg, from, fronts[i:]) })
	}
}

func pairsOf(t *testing.T, pg *pgtest.DB, from family, fronts []front) {
	for _, f := range fronts {
		for _, p := range pairs {
			t.Run(f.name+"/"+pairName(p), func(t *testing.T) { postgresWorld(t, pgtest.Twin(t, pg), from).compare(t, f, p) })
		}
	}
}

func TestPairsSQLite(t *testing.T) {
	for _, from := range families {
		for _, f := range fronts[:2] {
			for _, p := range pairs[1:] {
				t.Run(from.name+"/"+f.name+"/"+pairName(p), func(t *testing.T) { sqliteWorld(t, from).compare(t, f, p) })
			}
		}
	}
}

// compare runs each kind of statement in one program, and the next one in the other; then all of them the other way round.
func (w *world) compare(t *testing.T, f front, p [2]stage) {
	programs := [2]program{f.open(t, w, p[0]), f.open(t, w, p[1])}
	checkers := w.checkers(t)
	if w.pg != nil && p[0] == schema.StageNone {
		must(t, w.admin, w.trigger()) // to be dropped before there are programs in only, which leave the plain column as it was
	}
	ctx := context.Background()
	d := dialect.Postgres
	if w.pg == nil {
		d = dialect.SQLite
	}
	sealed := slices.Contains(p[:], schema.StageSealed) || slices.Contains(p[:], schema.StageOnly)
	for turn := range 2 {
		for i, k := range kinds {
			if k.only != "" && k.only != d.String() {
				continue
			}
			prog := programs[(turn+i)%2]
			query := k.sql
			if d == dialect.SQLite {
				query = strings.ReplaceAll(query, "$", "?")
			}
			if k.empties && sealed && prog.stage == schema.StageCopy {
				continue
			}
			if prog.stage == schema.StageNone && (k.rows || query == "TABLE users" || strings.Contains(query, "*") && !strings.Contains(query, "count(*)")) {
				continue // it shows the companions
			}
			w.log.take()
			got := prog.run(ctx, query, k.args...)
			if w.refuses(&k, prog.stage) {
				if !errors.Is(got.err, driver.ErrRefused) {
					t.Errorf("%s: %s: %v, want a refusal", prog.name, query, got.err)
				}
				continue
			}
			want := w.twin.run(ctx, query, k.args...)
			if err := same(got, want, k.ordered); err != nil {
				t.Errorf("%s: %s: %v", prog.name, query, err)
			}
			observed := strings.Contains(w.log.take(), "colseal.observed")
			if prog.stage == schema.StageCopy && observed != w.refuses(&k, schema.StageSealed) && turn == 0 {
				t.Errorf("%s: %s: observed is %v, want %v", prog.name, query, observed, !observed)
			}
			if !strings.HasPrefix(query, "SELECT") {
				w.check(t, programs, checkers, sealed, query)
			}
		}
		if programs[turn].copy != nil {
			rows := [][]any{{30 + turn, fmt.Sprint("copied", turn), "s"}, {32 + turn, nil, nil}}
			if n, err := programs[turn].copy(ctx, "users", []string{"id", "email", "ssn"}, rows); err != nil || n != 2 {
				t.Errorf("%s: CopyFrom: %d, %v", programs[turn].name, n, err)
			}
			for _, r := range rows {
				if a := w.twin.run(ctx, "INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)", r...); a.err != nil {
					t.Fatal(a.err)
				}
			}
			w.check(t, programs, checkers, sealed, "CopyFrom")
		}
		for _, table := range []string{"users", "orders"} {
			must(t, w.admin, "DELETE FROM "+table)
			w.twin.run(ctx, "DELETE FROM "+table)
		}
		if t.Failed() {
			return
		}
	}
}

// check compares all rows as the programs see them with the twin's, and the companions with the plain columns.
func (w *world) check(t *testing.T, programs [2]program, checkers [2]program, sealed bool, after string) {
	t.Helper()
	ctx := context.Background()
	for _, query := range []string{"SELECT id, email, note, ssn FROM users", "SELECT id, email FROM orders"} {
		want := w.twin.run(ctx, query)
		for _, p := range programs {
			if !w.knows(p.stage) {
				continue
			}
			if err := same(p.run(ctx, query), want, false); err != nil {
				t.Fatalf("after %s: %s: %s: %v", after, p.name, query, err)
			}
		}
	}
	if programs[0].stage == schema.StageOnly {
		return
	}
	only := programs[1].stage == schema.StageOnly
	for _, columns := range [][2]string{{"users", "email"}, {"users", "ssn"}, {"orders", "email"}} {
		const none = "<nil>"
		var opened [2]map[string]string
		for i, suffix := range []string{w.source, w.stored} {
			a := checkers[i].run(ctx, fmt.Sprintf("SELECT id, %s%s FROM %s", columns[1], suffix, columns[0]))
			if a.err != nil {
				t.Fatal(a.err)
			}
			opened[i] = map[string]string{}
			for _, r := range a.rows {
				opened[i][r[0]] = r[1]
			}
		}
		for id, source := range opened[0] {
			cell := opened[1][id]
			switch {
			case only: // the source is no longer kept
			case cell != none && cell != source:
				t.Fatalf("after %s: %s.%s of row %s is %q, and its companion %q", after, columns[0], columns[1], id, source, cell)
			case cell == none && source != none && sealed:
				t.Fatalf("after %s: %s.%s of row %s has no companion", after, columns[0], columns[1], id)
			}
		}
	}
}
