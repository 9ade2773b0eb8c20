package sessions

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
)

func exec(conn int, text string, args ...any) step { return step{conn: conn, text: text, args: args} }

func query(conn int, text string, args ...any) step {
	return step{conn: conn, kind: queries, text: text, args: args}
}

const (
	a = 0
	b = 1

	all   = "SELECT id, email FROM users ORDER BY id"
	found = "SELECT id, email FROM users WHERE email = $1"
)

// passedOver has a role find the table of another schema, since it may not use tenant.
var passedOver = []step{
	exec(a, "CREATE SCHEMA tenant; CREATE TABLE tenant.users (id bigint, email text)"), exec(a, "GRANT ALL ON tenant.users TO ROLE"),
	exec(b, "SET search_path = tenant, public"), exec(b, "SET ROLE ROLE"),
	exec(b, "INSERT INTO users(id, email) VALUES (1, 'canary-1')"), query(b, all),
}

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
	"a schema gets another owner": append(slices.Clone(passedOver),
		exec(a, "ALTER SCHEMA tenant OWNER TO ROLE"),
		exec(b, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"), query(b, all)),
	"a role becomes a superuser, and is none again": append(slices.Clone(passedOver),
		exec(a, "ALTER ROLE ROLE SUPERUSER"), exec(b, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"), query(b, all),
		exec(a, "ALTER ROLE ROLE NOSUPERUSER"), exec(b, "INSERT INTO users(id, email) VALUES (3, 'canary-3')"), query(b, all)),
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
				s := w.connect(t)
				defer s.discard()
				steps = slices.Clone(steps)
				for i := range steps {
					steps[i].text = strings.ReplaceAll(steps[i].text, "ROLE ROLE", "ROLE "+w.role)
					steps[i].text = strings.ReplaceAll(steps[i].text, "TO ROLE", "TO "+w.role)
				}
				var n outcome
				if err := errors.Join(s.play(t.Context(), steps, &n), s.clean(t.Context())); err != nil {
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
		c, err := w.sealed.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer discard(c)
		for _, s := range []step{
			exec(a, "SET search_path = other, public"), query(a, all), exec(a, "INSERT INTO public.log VALUES ('public')"),
			exec(a, "INSERT INTO users(id, email) VALUES (1, $1)", "canary-1"), exec(a, "INSERT INTO users(id, email) VALUES (2, 'canary-2')"),
		} {
			if _, err := s.run(t.Context(), &conn{Conn: c}); err != nil {
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
