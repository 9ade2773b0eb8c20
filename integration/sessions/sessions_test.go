package sessions

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/integration/pgtest"
)

var sequences = flag.Int("sessions.n", 60, "random sequences on each version of PostgreSQL")

func exec(conn int, text string, args ...any) step { return step{conn: conn, text: text, args: args} }

func query(conn int, text string, args ...any) step {
	return step{conn: conn, text: text, args: args, query: true}
}

const (
	a = 0
	b = 1

	all   = "SELECT id, email FROM users ORDER BY id"
	found = "SELECT id, email FROM users WHERE email = $1"
)

// Each changes what the name users means in a way that its words do not show, and then writes or searches.
var examples = map[string][]step{
	"AND CHAIN ends SET LOCAL": {
		exec(a, "BEGIN"), exec(a, "SET LOCAL search_path = other, public"), query(a, all), exec(a, "COMMIT AND CHAIN"),
		exec(a, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), exec(a, "COMMIT"), query(a, all),
	},
	"ROLLBACK AND CHAIN ends SET LOCAL": {
		exec(a, "BEGIN"), exec(a, "SET LOCAL search_path = other, public"), query(a, all), exec(a, "ROLLBACK AND CHAIN"),
		exec(a, "INSERT INTO users(id, email) VALUES (1, $1)", "canary-1"), exec(a, "COMMIT"), query(a, all),
	},
	"a temporary table is dropped by the commit": {
		exec(a, "BEGIN"), exec(a, "CREATE TEMP TABLE users (id bigint, email text) ON COMMIT DROP"),
		exec(a, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), query(a, all), exec(a, "END"),
		exec(a, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"), query(a, all),
	},
	"a savepoint takes a temporary table back": {
		exec(a, "BEGIN"), exec(a, "SAVEPOINT s"), exec(a, "CREATE TEMP TABLE users (id bigint, email text)"), query(a, all),
		exec(a, "ROLLBACK TO s"), exec(a, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"), exec(a, "COMMIT"), query(a, all),
	},
	"an update of pg_settings": {
		query(a, all), exec(a, "UPDATE pg_settings SET setting = 'other' WHERE name = 'search_path'"),
		exec(a, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), query(a, all),
		exec(b, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"), query(b, all),
	},
	"a function that sets the path": {
		query(a, all), exec(a, "SELECT setpath('other', false)"), query(a, all),
		exec(a, "INSERT INTO users(id, email) VALUES (1, $1)", "canary-1"), query(a, found, "canary-1"),
		exec(b, "INSERT INTO users(id, email) VALUES (2, $1)", "canary-2"), query(b, found, "canary-2"),
	},
	"a cursor acts at FETCH": {
		exec(a, "BEGIN"), exec(a, "DECLARE c CURSOR FOR SELECT set_config('search_path', 'other', false)"), query(a, all),
		exec(a, "FETCH c"), query(a, all), exec(a, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), exec(a, "COMMIT"), query(a, all),
	},
	"set_config inside another statement": {
		query(a, "SELECT id, email FROM users WHERE set_config('search_path', 'other', false) <> 'x' AND email = $1", "canary-0"),
		exec(a, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), query(a, all),
	},
	"a statement prepared under another path": {
		exec(a, "SET search_path = other"), exec(a, "PREPARE q AS INSERT INTO users(id, email) VALUES (1, $1)"),
		exec(a, "SET search_path = public"), exec(a, "EXECUTE q('canary-1')"), query(a, all), exec(a, "SET search_path = other"), query(a, all),
	},
	"the same text for other types": {
		exec(a, "INSERT INTO users(id, email) VALUES ($1, $2)", 1, "canary-1"), exec(a, "UPDATE users SET email = $1 WHERE id = $2", "canary-2", 1),
		exec(a, "SET search_path = other"), exec(a, "INSERT INTO users(id, email) VALUES ($1, $2)", 1, "canary-3"),
		exec(a, "UPDATE users SET email = $1 WHERE id = $2", "canary-4", 1), query(a, all),
		exec(a, "SET search_path = public"), exec(a, "UPDATE users SET email = $1 WHERE id = $2", "canary-5", 1), query(a, all),
	},
	"DDL of a transaction that ends by text": {
		exec(b, "CREATE SCHEMA tenant; CREATE TABLE tenant.users (id bigint, email text)"), exec(b, "SET search_path = tenant, public"),
		exec(a, "BEGIN"), exec(a, "DROP SCHEMA tenant CASCADE"), exec(a, "COMMIT"),
		exec(b, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), query(b, all),
	},
}

func TestExamples(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, sealed *pgtest.DB) {
		twin := pgtest.Twin(t, sealed)
		w := newWorld(t, sealed, twin)
		for name, steps := range examples {
			t.Run(name, func(t *testing.T) {
				w.clear(t)
				var n outcome
				if err := w.play(t.Context(), steps, &n); err != nil {
					t.Error(err)
				}
				w.compare(t)
			})
		}
	})
}

// What a trigger does to the session is not seen. What is known of the session is stale then, and must not leak: the statement
// reaches the table that was analysed.
func TestStaleFactsDoNotLeak(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, sealed *pgtest.DB) {
		w := newWorld(t, sealed, pgtest.Twin(t, sealed))
		if _, err := sealed.Admin.Exec(`CREATE TABLE public.log (path text);
			CREATE FUNCTION public.onlog() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM set_config(''search_path'', NEW.path, false); RETURN NEW; END';
			CREATE TRIGGER t BEFORE INSERT ON public.log FOR EACH ROW EXECUTE FUNCTION public.onlog()`); err != nil {
			t.Fatal(err)
		}
		conn, err := w.sealed.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer discard(conn)
		for _, s := range []step{
			exec(a, "SET search_path = other, public"), query(a, all), exec(a, "INSERT INTO public.log VALUES ('public')"),
			exec(a, "INSERT INTO users(id, email) VALUES (1, $1)", "canary-1"), exec(a, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"),
		} {
			if _, err := s.run(t.Context(), conn); err != nil {
				t.Fatal(s, err)
			}
		}
		if leaks := w.tap.take(); leaks != nil {
			t.Errorf("sent in plaintext: %q", leaks)
		}
		var n int
		if err := sealed.Admin.QueryRow("SELECT count(*) FROM public.users").Scan(&n); err != nil || n != 0 {
			t.Errorf("public.users holds %d rows (%v), want them in other.users, which was analysed", n, err)
		}
	})
}

// generator makes sequences.
type generator struct {
	*rand.Rand
	values int
}

func (g *generator) value() string {
	g.values++
	if g.IntN(4) == 0 {
		return canary + strconv.Itoa(g.IntN(6))
	}
	return canary + strconv.Itoa(g.values)
}

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) path() string {
	return pick(g, "public", "other", "other, public", "public, other")
}

// step draws one statement: most write or search, the others change what names mean.
func (g *generator) step() step {
	conn := 0
	if g.IntN(4) == 0 {
		conn = 1
	}
	id := g.IntN(5)
	switch g.IntN(24) {
	case 0:
		return exec(conn, "SET search_path = "+g.path())
	case 1:
		return exec(conn, "SET LOCAL search_path = "+g.path())
	case 2:
		return exec(conn, pick(g, "RESET search_path", "RESET ALL", "DISCARD TEMP"))
	case 3, 4:
		return exec(conn, "BEGIN")
	case 5:
		return exec(conn, pick(g, "COMMIT", "END", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"))
	case 6:
		return exec(conn, pick(g, "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"))
	case 7:
		return exec(conn, "CREATE TEMP TABLE users (id bigint, email text)"+pick(g, "", " ON COMMIT DROP"))
	case 8:
		return exec(conn, "DROP TABLE IF EXISTS pg_temp.users")
	case 9:
		return exec(conn, fmt.Sprintf("SELECT public.setpath('%s', %s)", g.path(), pick(g, "true", "false")))
	case 10:
		return exec(conn, fmt.Sprintf("SELECT set_config('search_path', '%s', %s)", g.path(), pick(g, "true", "false")))
	case 11:
		return exec(conn, fmt.Sprintf("UPDATE pg_settings SET setting = '%s' WHERE name = 'search_path'", g.path()))
	case 12:
		return exec(conn, fmt.Sprintf("DECLARE c CURSOR FOR SELECT set_config('search_path', '%s', false)", g.path()))
	case 13:
		return exec(conn, pick(g, "FETCH c", "CLOSE c", "MOVE c"))
	case 14:
		return exec(conn, fmt.Sprintf("PREPARE q AS INSERT INTO users(id, email) VALUES (%d, $1)", id))
	case 15:
		return exec(conn, pick(g, "EXECUTE q('"+g.value()+"')", "DEALLOCATE q"))
	case 16:
		return exec(conn, fmt.Sprintf("INSERT INTO users(id, email) VALUES (%d, '%s')", id, g.value()))
	case 17, 18:
		return exec(conn, "INSERT INTO users(id, email) VALUES ($1, $2)", id, g.value())
	case 19:
		return exec(conn, "UPDATE users SET email = $1 WHERE id = $2", g.value(), id)
	case 20:
		return exec(conn, "DELETE FROM users WHERE email = $1", g.value())
	case 21:
		return query(conn, "SELECT id, email FROM "+pick(g, "public.users", "other.users")+" ORDER BY id, 1")
	case 22:
		return query(conn, "SELECT id, email FROM users WHERE email = $1 ORDER BY id", g.value())
	}
	return query(conn, "SELECT id, email FROM users ORDER BY id")
}

// seed is the gate's, or one of its own each time.
func seed() uint64 {
	if s, err := strconv.ParseUint(os.Getenv("COLSEAL_SHAPES_SEED"), 10, 64); err == nil {
		return s
	}
	return uint64(time.Now().UnixNano())
}

func TestRandomSequences(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, sealed *pgtest.DB) {
		w := newWorld(t, sealed, pgtest.Twin(t, sealed))
		g := &generator{Rand: rand.New(rand.NewPCG(seed(), 1))}
		t.Logf("seed %d", seed())
		var n outcome
		for i := range *sequences {
			steps := make([]step, 3+g.IntN(8))
			for j := range steps {
				steps[j] = g.step()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := w.play(ctx, steps, &n)
			cancel()
			if err != nil {
				var text strings.Builder
				for _, s := range steps {
					fmt.Fprintln(&text, s)
				}
				t.Fatalf("sequence %d:\n%s%v", i, text.String(), err)
			}
			if i%50 == 49 {
				w.compare(t)
				w.clear(t)
			}
		}
		t.Logf("%d sequences: %d statements work, %d are refused, %d fail on both sides", *sequences, n.works, n.refused, n.fails)
		if n.works < n.refused*4 {
			t.Errorf("%d statements are refused, %d work: too few to show anything", n.refused, n.works)
		}
	})
}

// clear empties the tables.
func (w *world) clear(t *testing.T) {
	t.Helper()
	for _, text := range []string{"DELETE FROM public.users", "DELETE FROM other.users"} {
		if _, err := w.sealed.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if _, err := w.twin.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// compare reads both tables through Colseal, so that plaintext in a sealed column is an error, and on the twin.
func (w *world) compare(t *testing.T) {
	t.Helper()
	for _, table := range []string{"public.users", "other.users"} {
		s := query(a, "SELECT id, email FROM "+table)
		var out [2]string
		for i, db := range []*sql.DB{w.sealed, w.twin} {
			conn, err := db.Conn(t.Context())
			if err == nil {
				out[i], err = s.run(t.Context(), conn)
				_ = conn.Close()
			}
			if err != nil {
				t.Fatal(table, err)
			}
		}
		if sorted(out[0]) != sorted(out[1]) {
			t.Errorf("%s holds\n%s\nthe twin's\n%s", table, out[0], out[1])
		}
	}
}

func sorted(rows string) string {
	lines := strings.Split(rows, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
