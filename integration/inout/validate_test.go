package inout

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
)

// meetDDL has the statements that validate meet one statement of a program on the table. The program's is held in its first trigger
// (place 7) until something is valid, and then in a function that the server calls before it has read the other CHECKs (place 8),
// until all is; or for a second each. The first to validate waits until a program is held in the place %d, the others in place 8.
const meetDDL = `
CREATE SEQUENCE met;
CREATE FUNCTION pending(OUT all_of_them bigint, OUT invalid bigint) LANGUAGE sql AS $$
	SELECT count(*), count(*) FILTER (WHERE NOT convalidated) FROM pg_constraint WHERE conrelid = 'people'::regclass AND conname LIKE 'colseal%%' $$;
CREATE FUNCTION until(condition text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE done bool;
BEGIN
	FOR i IN 1 .. 100 LOOP
		EXECUTE 'SELECT ' || condition INTO done;
		EXIT WHEN done;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN done;
END $$;
CREATE FUNCTION held(place int, condition text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT invalid > 0 AND (NOT is_called OR EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid IN (7, 8) AND pid = pg_backend_pid())) FROM met, pending()) THEN
		PERFORM pg_advisory_xact_lock(place), until(condition), nextval('met');
	END IF;
	RETURN true;
END $$;
CREATE FUNCTION first_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM held(7, '(SELECT invalid < all_of_them FROM pending())');
	PERFORM count(*) FROM pg_opfamily; -- which it has not read yet: it looks for what has changed
	RETURN NEW;
END $$;
CREATE TRIGGER a_first BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION first_trigger();
CREATE FUNCTION first_check(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM held(8, '(SELECT invalid = 0 FROM pending())');
	PERFORM count(*) FROM pg_language;
	RETURN true;
END $$;
ALTER TABLE people ADD CONSTRAINT a_first CHECK (first_check(1));
CREATE FUNCTION meet() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_query() LIKE '%%"people" VALIDATE%%' THEN
		PERFORM until('EXISTS (SELECT FROM pg_locks, pending() WHERE locktype = ''advisory'' AND objid = CASE WHEN invalid = all_of_them THEN %d ELSE 8 END)');
	END IF;
END $$;
CREATE EVENT TRIGGER meet ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION meet();`

// No statement is at work on a table at the moment in which its CHECKs become valid: PostgreSQL then frees what the statement still
// reads, so that it fails with "unrecognized token", or the server crashes.
func TestNobodyBesideValidation(t *testing.T) {
	for _, program := range []struct {
		name  string
		place int
		query string
	}{
		{"a writer executes CHECKs", 7, "INSERT INTO people (mail, age) VALUES (gen_random_uuid()::text, 7)"},
		{"a reader is planned by CHECKs", 8, "SELECT FROM people LIMIT 0; DO 'DECLARE p people; BEGIN p.age := 1; END'; SELECT count(*) FROM (SELECT mail, age FROM people UNION ALL SELECT mail, age FROM people) x WHERE age = 7"},
	} {
		t.Run(program.name, func(t *testing.T) {
			pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
				w := newWorld(t, pg, tablesDDL+fmt.Sprintf(meetDDL, program.place))
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() {
					for ctx.Err() == nil {
						if _, err := pg.Admin.ExecContext(t.Context(), program.query); err != nil {
							t.Errorf("a program's statement: %v", err)
							return
						}
						time.Sleep(time.Millisecond)
					}
				})
				_, err := way[0].run(t.Context(), w.db, migrate.Options{})
				cancel()
				running.Wait()
				if err != nil {
					t.Fatal(err)
				}
				if got := all(t, pg.Admin, "SELECT is_called::text FROM met"); got[0] != "true" {
					t.Error("no statement of a program met one that validates")
				}
			})
		})
	}
}
