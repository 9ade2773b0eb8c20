package sessions

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/integration/pgtest"
)

var (
	sequences = flag.Int("sessions.n", 120, "random sequences on each version of PostgreSQL")
	worlds    = flag.Int("sessions.worlds", 2, "databases that they run on at the same time")
)

const (
	perConnection = 40  // sequences on the same connections: what one leaves behind must not matter to the next
	perWorld      = 200 // sequences between two comparisons of all that the tables hold
)

// generator makes sequences.
type generator struct {
	*rand.Rand
	values int
	role   string
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
	return pick(g, "public", "other", "other, public", "public, other", "tenant, public", `"$user", public`, "public, pg_temp", "pg_catalog, tenant, other, public")
}

// mode is an exec mode of pgx for a statement, as its first argument; mostly none.
func (g *generator) mode() []any {
	if g.IntN(6) > 0 {
		return nil
	}
	return []any{pick(g, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)}
}

// step draws one statement: most write or search, the others change what names mean.
func (g *generator) step() step {
	conn := 0
	if g.IntN(4) == 0 {
		conn = 1
	}
	switch g.IntN(16) {
	case 0:
		return exec(conn, g.setting())
	case 1, 2:
		return exec(conn, g.boundary())
	case 3:
		return exec(conn, g.temporary())
	case 4:
		return exec(conn, g.definition())
	case 5, 6:
		return exec(conn, g.kept())
	case 7:
		return g.prepared(conn)
	case 8:
		if g.IntN(3) == 0 {
			return step{conn: conn, kind: copies, text: pick(g, "users", "public.users", "other.users"), args: []any{int64(g.IntN(5)), g.value()}}
		}
		return exec(conn, pick(g, g.setting, g.temporary, g.definition, g.boundary)()+"; "+g.literal())
	case 9:
		return exec(conn, g.literal())
	case 10:
		return query(conn, "SELECT id, email FROM "+pick(g, "public.users", "other.users", "tenant.users", "pg_temp.users")+" ORDER BY id, 1")
	case 11:
		return query(conn, "SELECT id, email FROM users WHERE email = $1 ORDER BY id", append(g.mode(), g.value())...)
	case 12:
		return query(conn, "SELECT id, email FROM users ORDER BY id", g.mode()...)
	}
	text, args := g.write()
	return exec(conn, text, append(g.mode(), args...)...)
}

// setting changes what names mean, or may do so.
func (g *generator) setting() string {
	switch g.IntN(9) {
	case 8:
		return pick(g, "SET transform_null_equals = on", "SET bytea_output = escape", "SET quote_all_identifiers = on", "SET default_transaction_isolation = 'repeatable read'",
			"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SCHEMA 'other'", "SET search_path FROM CURRENT", "DISCARD PLANS", "SET search_path = ''")
	case 0:
		return "SET search_path = " + g.path()
	case 1:
		return "SET LOCAL search_path = " + g.path()
	case 2:
		return pick(g, "RESET search_path", "RESET ALL", "SET search_path TO DEFAULT", "SET SESSION AUTHORIZATION DEFAULT")
	case 3:
		return fmt.Sprintf("SELECT public.setpath('%s', %s)", g.path(), pick(g, "true", "false"))
	case 4:
		return fmt.Sprintf("SELECT set_config('search_path', '%s', %s)", g.path(), pick(g, "true", "false"))
	case 5:
		return fmt.Sprintf("UPDATE pg_settings SET setting = '%s' WHERE name = 'search_path'", g.path())
	case 6:
		return fmt.Sprintf("DO $$BEGIN PERFORM set_config('search_path', '%s', %s); END$$", g.path(), pick(g, "true", "false"))
	}
	return pick(g, "SET ROLE "+g.role, "SET LOCAL ROLE "+g.role, "RESET ROLE", "SET SESSION AUTHORIZATION "+g.role)
}

// boundary begins, ends or divides a transaction.
func (g *generator) boundary() string {
	if g.IntN(8) == 0 {
		return pick(g, "PREPARE TRANSACTION 'GID'", "PREPARE TRANSACTION 'GID'", "COMMIT PREPARED 'GID'", "ROLLBACK PREPARED 'GID'")
	}
	return pick(g, "BEGIN", "BEGIN", "BEGIN", "START TRANSACTION", "COMMIT", "COMMIT", "END", "ROLLBACK", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN",
		"SAVEPOINT s", "SAVEPOINT s", "ROLLBACK TO s", "ROLLBACK TO SAVEPOINT s", "RELEASE s")
}

func (g *generator) temporary() string {
	return pick(g, "CREATE TEMP TABLE users (id bigint, email text)", "CREATE TEMP TABLE users (id bigint, email text) ON COMMIT DROP",
		"CREATE TABLE pg_temp.users (id bigint, email text)", "CREATE TEMP VIEW users AS SELECT 7::bigint AS id, 'seven'::text AS email",
		"CREATE TEMP TABLE users AS SELECT 8::bigint AS id, 'eight'::text AS email", "SELECT 9::bigint AS id, 'nine'::text AS email INTO TEMP users",
		"DROP TABLE IF EXISTS pg_temp.users", "DROP VIEW IF EXISTS pg_temp.users", "DISCARD TEMP", "ALTER TABLE pg_temp.users RENAME TO people")
}

// definition changes schemas and tables, in ways that clean takes back.
func (g *generator) definition() string {
	return pick(g, "CREATE SCHEMA tenant", "CREATE TABLE tenant.users (id bigint, email text)", "DROP TABLE tenant.users", "DROP SCHEMA tenant CASCADE",
		"ALTER SCHEMA tenant RENAME TO tenant2", "ALTER SCHEMA tenant2 RENAME TO tenant", "ALTER TABLE other.users RENAME TO people",
		"ALTER TABLE other.people RENAME TO users", "ALTER TABLE other.users SET SCHEMA tenant", "ALTER TABLE tenant.users SET SCHEMA other",
		"ALTER TABLE public.users ADD COLUMN x int", "ALTER TABLE public.users DROP COLUMN IF EXISTS x", "ALTER TABLE other.users ADD COLUMN y int",
		"CREATE TABLE tenant.users AS SELECT 5::bigint AS id, 'five'::text AS email", "ALTER SCHEMA other RENAME TO tenant",
		"CREATE INDEX ON other.users (email)", "ALTER SCHEMA tenant OWNER TO "+g.role, "ALTER FUNCTION public.setpath SET search_path = other", "ALTER FUNCTION public.setpath RESET ALL")
}

// kept is about what a session keeps: cursors, and what SQL prepares.
func (g *generator) kept() string {
	id := g.IntN(5)
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf("DECLARE c CURSOR FOR SELECT set_config('search_path', '%s', false)", g.path())
	case 1:
		return "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM users"
	case 2, 3:
		return pick(g, "FETCH c", "FETCH ALL FROM c", "CLOSE c", "MOVE c", "CLOSE ALL")
	case 4:
		return fmt.Sprintf("PREPARE q AS INSERT INTO users(id, email) VALUES (%d, $1)", id)
	case 5:
		return fmt.Sprintf("PREPARE q(text) AS SELECT set_config('search_path', $1, false), %d", id)
	}
	return pick(g, "EXECUTE q('"+g.value()+"')", "EXECUTE q('other')", "DEALLOCATE q")
}

// prepared prepares a statement by the protocol, or runs the one that was.
func (g *generator) prepared(conn int) step {
	if g.IntN(3) == 0 {
		return step{conn: conn, kind: prepares, text: pick(g, "INSERT INTO users(id, email) VALUES ($1, $2)", "UPDATE users SET email = $2 WHERE id = $1")}
	}
	return step{conn: conn, kind: runs, args: []any{int64(g.IntN(5)), g.value()}}
}

// literal writes without parameters.
func (g *generator) literal() string {
	return fmt.Sprintf(pick(g, "INSERT INTO users(id, email) VALUES (%d, '%s')", "UPDATE users SET id = %d WHERE email = '%s'"), g.IntN(5), g.value())
}

func (g *generator) write() (string, []any) {
	id := g.IntN(5)
	switch g.IntN(6) {
	case 0:
		return "UPDATE users SET email = $1 WHERE id = $2", []any{g.value(), id}
	case 1:
		return "DELETE FROM users WHERE email = $1", []any{g.value()}
	case 2:
		return "INSERT INTO users(id, email) SELECT id + 1, $1 FROM users WHERE id = $2 LIMIT 1", []any{g.value(), id}
	}
	return "INSERT INTO users(id, email) VALUES ($1, $2)", []any{id, g.value()}
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
		seed := seed()
		t.Logf("seed %d", seed)
		var mu sync.Mutex // guards sum
		var sum outcome
		var wg sync.WaitGroup
		for i := range *worlds {
			db := sealed
			if i > 0 {
				db = pgtest.Twin(t, sealed)
			}
			w := newWorld(t, db, pgtest.Twin(t, sealed))
			wg.Go(func() {
				n := w.random(t, &generator{Rand: rand.New(rand.NewPCG(seed, uint64(i))), role: w.role}, *sequences / *worlds)
				mu.Lock()
				defer mu.Unlock()
				sum.add(n)
			})
		}
		wg.Wait()
		t.Logf("%d sequences: %d statements work, %d are refused, %d fail on both sides", *sequences, sum.works, sum.refused, sum.fails)
		if sum.works < sum.refused*3 {
			t.Errorf("%d statements are refused, %d work: too few to show anything", sum.refused, sum.works)
		}
	})
}

// random plays so many sequences.
func (w *world) random(t *testing.T, g *generator, count int) (n outcome) {
	s := w.connect(t)
	defer func() { s.discard() }()
	for i := range count {
		steps := make([]step, 3+g.IntN(8))
		for j := range steps {
			steps[j] = g.step()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := s.play(ctx, steps, &n)
		if err == nil {
			err = s.clean(ctx)
		}
		cancel()
		if err != nil {
			t.Errorf("sequence %d:\n%s\n%v", i, script(w.shrink(t, steps)), err)
			return n
		}
		if i%perWorld == perWorld-1 || i == count-1 {
			w.compare(t)
			w.clear(t)
			t.Logf("%d sequences of one world: %+v", i+1, n)
		}
		if i%perConnection == perConnection-1 {
			s.discard()
			s = w.connect(t)
		}
	}
	return n
}

func script(steps []step) string {
	var text strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&text, s)
	}
	return text.String()
}

// shrink returns the fewest steps of a sequence that still go wrong, on new connections; all if it then goes well, because it
// took what an earlier sequence had left.
func (w *world) shrink(t *testing.T, steps []step) []step {
	wrong := func(steps []step) bool {
		w.clear(t)
		s := w.connect(t)
		defer s.discard()
		err := errors.Join(s.play(t.Context(), steps, new(outcome)), s.clean(t.Context()))
		return err != nil || w.differs(t.Context()) != ""
	}
	if !wrong(steps) {
		return steps
	}
	for i := 0; i < len(steps); {
		if fewer := slices.Delete(slices.Clone(steps), i, i+1); wrong(fewer) {
			steps = fewer
		} else {
			i++
		}
	}
	return steps
}
