package inout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// unusualDDL has what tables seldom have. ROOM is a tablespace, and VIEWS is where views stand.
const unusualDDL = `
CREATE SCHEMA aside;
CREATE FUNCTION aside.word() RETURNS text LANGUAGE sql AS $$SELECT 'word'$$;
CREATE COLLATION aside."Order 1" (provider = icu, locale = 'de');
SET search_path = aside;
CREATE TABLE odd (gone int, id interval PRIMARY KEY, btree text COLLATE "Order 1" DEFAULT word(), hash varchar(9) NOT NULL, n int, up text, un int, date text[],
	CONSTRAINT "Ü" UNIQUE NULLS NOT DISTINCT (hash, n) INCLUDE (id), CONSTRAINT own CHECK (btree <> 'CREATE INDEX CONCURRENTLY'),
	CONSTRAINT above FOREIGN KEY (up, un) REFERENCES odd (hash, n) ON DELETE SET NULL (un) DEFERRABLE);
ALTER TABLE odd DROP gone;
ALTER TABLE odd ALTER btree SET STATISTICS 77, ALTER btree SET STORAGE EXTERNAL, ALTER btree SET COMPRESSION pglz, ALTER btree SET (n_distinct = -0.5);
GRANT SELECT (btree), UPDATE (btree) ON odd TO pg_monitor WITH GRANT OPTION;
CREATE INDEX one ON odd (btree DESC NULLS LAST, n) WITH (fillfactor = 50) TABLESPACE ROOM;
CREATE INDEX two ON odd (lower(btree));
CREATE INDEX three ON odd USING hash (hash);
CREATE INDEX four ON odd (btree COLLATE "C" text_pattern_ops, n) WHERE hash IS NOT NULL;
ALTER TABLE odd CLUSTER ON one;
ALTER INDEX two ALTER COLUMN 1 SET STATISTICS 55;
COMMENT ON COLUMN odd.btree IS 'built CONCURRENTLY';
COMMENT ON INDEX one IS 'one';
COMMENT ON CONSTRAINT "Ü" ON odd IS 'it''s the only one';
COMMENT ON CONSTRAINT own ON odd IS 'own';
COMMENT ON CONSTRAINT above ON odd IS 'above';
RESET search_path;
VIEWS
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
INSERT INTO aside.odd (id, btree, hash, n) SELECT make_interval(months => g, days => -g, secs => -g * 1.5), NULLIF('b' || g, 'b3'), 'h' || g, g FROM generate_series(-300, 300) g;
UPDATE aside.odd SET up = 'h1', un = 1, date = '{a,NULL,"NULL"}' WHERE n > 290;
UPDATE aside.odd SET up = 'NULL', date = '{}' WHERE n = 5;`

// unusualViews are what goes without a column's being dropped.
var unusualViews = `
CREATE VIEW aside.seen WITH (security_barrier, check_option = cascaded) AS SELECT id, btree AS ` + strings.Repeat("n", 63) + `, hash FROM aside.odd WHERE hash IS NOT NULL;
CREATE VIEW aside.told WITH (security_invoker = true) AS SELECT n, hash FROM aside.odd;
GRANT SELECT ON aside.told TO pg_read_all_stats WITH GRANT OPTION;`

func unusual() (*schema.Schema, error) {
	col := func(name string, kind schema.Kind, mode schema.Mode, group string) schema.Column {
		return schema.Column{Name: name, Kind: kind, Mode: mode, JoinGroup: group, Stage: schema.StageCopy}
	}
	return schema.New(schema.Columns("aside.odd", col("btree", schema.KindText, schema.ModeDeterministic, ""), col("hash", schema.KindText, schema.ModeDeterministic, "hash"),
		col("up", schema.KindText, schema.ModeDeterministic, "hash"), col("date", schema.KindTextArray, schema.ModeRandomized, "")))
}

// unusualSettings are those of a database or a role on which texts, and what a statement sees, depend.
var unusualSettings = []string{"array_nulls = off", "quote_all_identifiers = on", "IntervalStyle = sql_standard", "DateStyle = 'German, DMY'", "extra_float_digits = -15", "bytea_output = escape",
	"TimeZone = 'America/St_Johns'", "default_transaction_isolation = 'repeatable read'", "standard_conforming_strings = off", "lock_timeout = '20s'", "default_statistics_target = 5"}

// Whatever a table has, and whatever its server's sessions begin with, it comes back as it was.
func TestUnusualTables(t *testing.T) {
	for name, opts := range map[string]migrate.Options{"kept": {}, "dropped": {Drop: true}, "locked": {Lock: true}} {
		t.Run(name, func(t *testing.T) {
			pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
				space, views := pg.Name+"_space", unusualViews
				if opts.Drop {
					views = "" // they would have to be dropped first
				}
				conn, err := pg.Admin.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				mustExec(t, conn, "SET allow_in_place_tablespaces = on")
				mustExec(t, conn, "CREATE TABLESPACE "+space+" LOCATION ''")
				t.Cleanup(func() {
					mustExec(t, pg.Admin, "DROP TABLE aside.odd CASCADE")
					mustExec(t, pg.Admin, "DROP TABLESPACE "+space)
				})
				if err := conn.Close(); err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, pg, strings.NewReplacer("ROOM", space, "VIEWS", views).Replace(unusualDDL))
				read := func() []string {
					return all(t, pg.Admin, "SELECT concat_ws('|', extract(epoch FROM id), coalesce(btree, '-'), hash, n, coalesce(up, '-'), un, date) FROM aside.odd ORDER BY id")
				}
				want, dumped, had := read(), pgDump(t, pg), catalogOf(t, pg, "aside")
				for _, s := range unusualSettings {
					mustExec(t, pg.Admin, "ALTER DATABASE "+pg.Name+" SET "+s)
				}
				for _, l := range way {
					db, o := w.open(t, unusual), opts
					if o.Lock && l.to != migrate.ReadySealedOnly && l.to != migrate.ReadyPlain {
						continue
					}
					o.Drop = o.Drop && l.to == migrate.ReadySealedOnly
					if r, err := l.run(t.Context(), db, o); err != nil || r.Unfit > 0 {
						t.Fatalf("%s: %+v, %v", l, r, err)
					}
					if l == way[1] {
						onDelete(t, pg)
					}
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
				}
				if got := read(); !slices.Equal(got, want) {
					t.Errorf("the rows in the end:\n%s", diff(strings.Join(want, "\n"), strings.Join(got, "\n")))
				}
				for _, s := range unusualSettings {
					mustExec(t, pg.Admin, "ALTER DATABASE "+pg.Name+" RESET "+strings.Fields(s)[0])
				}
				if got := catalogOf(t, pg, "aside"); !slices.Equal(got, had) {
					t.Errorf("the catalog differs in the end:\n%s", diff(strings.Join(had, "\n"), strings.Join(got, "\n")))
				}
				if got := pgDump(t, pg); got != dumped {
					t.Errorf("pg_dump differs in the end:\n%s", diff(dumped, got))
				}
			})
		})
	}
}

// onDelete looks at what ON DELETE SET NULL of one column does to a column and its companion.
func onDelete(t *testing.T, pg *pgtest.DB) {
	t.Helper()
	tx, err := pg.Admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "DELETE FROM aside.odd WHERE n = 1")
	var up, cell, un bool
	err = tx.QueryRowContext(t.Context(), "SELECT up IS NULL, up_sealed IS NULL, un IS NULL FROM aside.odd WHERE n = 300").Scan(&up, &cell, &un)
	if err := errors.Join(err, tx.Rollback()); err != nil || up || cell || !un {
		t.Errorf("NULL: up %t, its companion %t, un %t, %v", up, cell, un, err)
	}
}

// catalogOf describes what the server has of a schema, where there is no pg_dump for it.
func catalogOf(t *testing.T, pg *pgtest.DB, of string) []string {
	t.Helper()
	return all(t, pg.Admin, strings.ReplaceAll(`
		SELECT concat_ws(' ', 'column', c.relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attcollation, col_description(attrelid, attnum), CASE WHEN attstattarget >= 0 THEN attstattarget END,
				attstorage, attcompression, (SELECT array_agg(o ORDER BY o) FROM unnest(attoptions) o WHERE o ~ '^n_distinct'), attacl)
			FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE relnamespace = 'aside'::regnamespace AND relkind IN ('r', 'v', 'i') AND attnum > 0 AND NOT attisdropped
		UNION ALL SELECT concat_ws(' ', 'relation', relname, reloptions, CASE WHEN relkind IN ('r', 'v') THEN coalesce(relacl, acldefault('r', relowner)) END, reltablespace, obj_description(oid, 'pg_class'), CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END) FROM pg_class WHERE relnamespace = 'aside'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisclustered) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'aside'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint')) FROM pg_constraint WHERE connamespace = 'aside'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid)) FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 'aside'::regnamespace AND NOT tgisinternal
		UNION ALL SELECT concat_ws(' ', 'function', proname, prosrc) FROM pg_proc WHERE pronamespace = 'aside'::regnamespace
		ORDER BY 1`, "aside", of))
}

// What a table has that cannot be carried along is said before anything is changed, by the dry run
// and by the step.
func TestProblemsOfTables(t *testing.T) {
	pg := pgtest.New(t)
	const create = "CREATE TABLE people (id bigint PRIMARY KEY, mail text CONSTRAINT people_mail UNIQUE, note text); INSERT INTO people VALUES (1, 'a', 'n')"
	w := newWorld(t, pg, create+`; CREATE ROLE "no one" LOGIN PASSWORD 'no one'`)
	t.Cleanup(func() { mustExec(t, pg.Admin, `DROP OWNED BY "no one"; DROP ROLE "no one"`) })
	for ddl, want := range map[string]string{
		"CREATE INDEX people_mail_sealed ON people (note)":                                                              "it gets the unique people_mail_sealed",
		"CREATE TABLE people_mail_sealed ()":                                                                            "it gets the unique people_mail_sealed",
		"ALTER TABLE people ADD CONSTRAINT people_mail_sealed CHECK (note <> '')":                                       "it gets the unique people_mail_sealed",
		"ALTER TABLE people ADD mail_sealed bytea DEFAULT 'x'":                                                          "its column mail_sealed holds what is no cell",
		"ALTER TABLE people ADD CHECK (note <> 'n') NOT VALID":                                                          "NOT VALID",
		"CREATE RULE r AS ON UPDATE TO people WHERE OLD.id > 5 DO INSTEAD NOTHING":                                      "the rule r takes the place",
		"CREATE TABLE log (m text); CREATE RULE r AS ON INSERT TO people DO ALSO INSERT INTO log VALUES (NEW.mail)":     "rule r on table people depends on it",
		"CREATE TABLE log (m text); CREATE RULE r AS ON INSERT TO log DO ALSO INSERT INTO people (mail) VALUES (NEW.m)": "rule r on table log depends on it",
		"ALTER TABLE people REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR ALL TABLES":                              "needs a REPLICA IDENTITY",
		"CREATE PUBLICATION p FOR TABLE people (id, mail)":                                                              "publication p",
		"DROP TABLE people; CREATE TYPE person AS (id bigint, mail text); CREATE TABLE people OF person":                "typed",
		"DROP TABLE people; CREATE TABLE people (id bigint, mail text" + wide(1598) + ")":                               "no place for one more column",
		`ALTER TABLE people OWNER TO "no one"; SET ROLE "no one"`:                                                       "may not create a trigger's function",
		`GRANT ALL ON SCHEMA public TO "no one"; GRANT ALL ON people TO "no one"; SET ROLE "no one"`:                    "does not own the table",
		"ALTER DATABASE %s SET default_transaction_read_only = on":                                                      "lets it only read",
	} {
		ddl, role, _ := strings.Cut(ddl, "; SET ROLE ")
		tables := func() (*schema.Schema, error) {
			return schema.New(schema.Columns("people", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Stage: schema.StageCopy}))
		}
		mustExec(t, pg.Admin, strings.ReplaceAll(ddl, "%s", pg.Name))
		if role != "" {
			mustExec(t, pg.Admin, "GRANT ALL ON colseal_keys, colseal_keys_stages TO "+role+"; ALTER DATABASE "+pg.Name+" SET role = '"+strings.Trim(role, `"`)+"'")
		}
		db := w.open(t, tables)
		had := catalogOf(t, pg, "public")
		for _, dry := range []bool{true, false} {
			r, err := migrate.Seal(t.Context(), db, migrate.Options{DryRun: dry})
			if found := fmt.Sprint(r.Problems, err); !strings.Contains(found, want) || err != nil && !errors.Is(err, migrate.ErrProblems) && want != "typed" {
				t.Errorf("%s (dry %t): %s", ddl, dry, found)
			}
		}
		if got := catalogOf(t, pg, "public"); !slices.Equal(got, had) {
			t.Errorf("%s: something was changed:\n%s", ddl, diff(strings.Join(had, "\n"), strings.Join(got, "\n")))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		mustExec(t, pg.Admin, "SET default_transaction_read_only = off; ALTER DATABASE "+pg.Name+" RESET role; ALTER DATABASE "+pg.Name+" RESET default_transaction_read_only")
		mustExec(t, pg.Admin, "DROP TABLE IF EXISTS people, log CASCADE; DROP TABLE IF EXISTS people_mail_sealed; DROP TYPE IF EXISTS person; DROP PUBLICATION IF EXISTS p; REVOKE ALL ON SCHEMA public FROM \"no one\"")
		mustExec(t, pg.Admin, create)
	}
}

func wide(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ", c%d bool", i)
	}
	return b.String()
}

// What would be gone with a column, or not work any more, is said before it is dropped.
func TestDropProblems(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, "CREATE TABLE people (id bigint PRIMARY KEY, mail text, n serial)")
	db := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "mail", Stage: schema.StageCopy}, schema.Column{Name: "n", Kind: schema.KindInt, Stage: schema.StageCopy}))
	})
	mustExec(t, pg.Admin, "CREATE PUBLICATION whole FOR TABLES IN SCHEMA public")
	if r, err := migrate.Seal(t.Context(), db, migrate.Options{DryRun: true}); err != nil || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "the publication whole has it") }) {
		t.Errorf("a publication of the schema: %q, %v", r.Notes, err)
	}
	mustExec(t, pg.Admin, "DROP PUBLICATION whole")
	for _, l := range way[:3] {
		w.taken(t, db, l)
	}
	mustExec(t, pg.Admin, "CREATE STATISTICS s ON mail, id FROM people; CREATE FUNCTION f() RETURNS SETOF text BEGIN ATOMIC SELECT mail FROM people; END; CREATE PUBLICATION p FOR TABLE people (id, mail)")
	mustExec(t, pg.Admin, "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', NEW.mail; RETURN NEW; END'; CREATE TRIGGER told AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION g()")
	r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealedOnly, Drop: true})
	found := strings.Join(r.Problems, "\n")
	for _, want := range []string{"statistics object s", "function f()", "publication of table people", "trigger told", "sequence people_n_seq ends with the column"} {
		if !errors.Is(err, migrate.ErrProblems) || !strings.Contains(found, want) {
			t.Errorf("%s: %s, %v", want, found, err)
		}
	}
	w.taken(t, db, way[3]) // without Drop
}

// On the way out, too, an object is not taken for another one that has its name.
func TestNameTakenMeanwhile(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.goTo(t, way[:5]...)
	mustExec(t, pg.Admin, "CREATE INDEX people_mail ON people (note); ALTER TABLE letters ADD CONSTRAINT letters_to CHECK (body <> '')")
	r, err := migrate.Unseal(t.Context(), w.db, migrate.Options{For: migrate.ReadySealed})
	if found := strings.Join(r.Problems, "\n"); !errors.Is(err, migrate.ErrProblems) || !strings.Contains(found, "the unique people_mail,") || !strings.Contains(found, "the foreign key letters_to,") {
		t.Errorf("%s, %v", found, err)
	}
	mustExec(t, pg.Admin, "DROP INDEX people_mail; ALTER TABLE letters DROP CONSTRAINT letters_to")
	w.goTo(t, way[5:]...)
}

// An index by which subscribers know rows is not taken from under them.
func TestReplicaIdentity(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, "CREATE TABLE people (id bigint PRIMARY KEY, mail text NOT NULL UNIQUE, note text); INSERT INTO people VALUES (1, 'a'); CREATE PUBLICATION p FOR TABLE people")
	db := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Stage: schema.StageCopy}))
	})
	for i, l := range way {
		if index := map[int]string{1: "people_mail_key", 2: "people_mail_key", 6: "people_mail_key_sealed"}[i]; index != "" {
			mustExec(t, pg.Admin, "ALTER TABLE people REPLICA IDENTITY USING INDEX "+index)
			for _, lock := range []bool{false, true} {
				if r, err := l.run(t.Context(), db, migrate.Options{Lock: lock}); !errors.Is(err, migrate.ErrProblems) || !strings.Contains(fmt.Sprint(r.Problems), "the index "+index+" is the table's replica identity") {
					t.Errorf("%s: %q, %v", l, r.Problems, err)
				}
			}
			mustExec(t, pg.Admin, "ALTER TABLE people REPLICA IDENTITY DEFAULT")
		}
		w.taken(t, db, l)
		mustExec(t, pg.Admin, "UPDATE people SET note = 'x'")
	}
}

// While a trigger of the pairs is disabled, no step is taken.
func TestDisabled(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.goTo(t, way[0])
	mustExec(t, pg.Admin, "ALTER TABLE people DISABLE TRIGGER USER")
	for _, dry := range []bool{true, false} {
		if _, err := migrate.Seal(t.Context(), w.db, migrate.Options{For: migrate.ReadySealed, DryRun: dry}); err == nil || !strings.Contains(err.Error(), "ENABLE TRIGGER USER") {
			t.Errorf("dry %t: %v", dry, err)
		}
	}
	mustExec(t, pg.Admin, "ALTER TABLE people ENABLE TRIGGER USER")
	w.goTo(t, way[1:]...)
}

// taken takes a step.
func (w *world) taken(t *testing.T, db *sql.DB, l leg) {
	t.Helper()
	if r, err := l.run(t.Context(), db, migrate.Options{}); err != nil || r.Unfit > 0 {
		t.Fatalf("%s: %+v, %v", l, r, err)
	}
}

// Rows that a trigger keeps as they are end the step, and do not keep it going.
func TestRowsThatStay(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 50)
	mustExec(t, pg.Admin, "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN CASE OLD.id WHEN 7 THEN NULL ELSE NEW END; END'; CREATE TRIGGER stays BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stay()")
	want := w.rows(t)
	for _, lock := range []bool{true, false} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if _, err := migrate.Seal(ctx, w.db, migrate.Options{For: migrate.ReadySealed, Lock: lock}); err == nil || !strings.Contains(err.Error(), "a trigger or a rule of the table keeps them") {
			t.Errorf("lock %t: %v", lock, err)
		}
	}
	mustExec(t, pg.Admin, "DROP TRIGGER stays ON people")
	w.goTo(t, way[1])
	w.look(t, migrate.ReadySealed, want)
}

// What somebody writes while the tables are locked is sealed, too, whatever transactions see by default.
func TestLockedSeesTheLast(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 5)
	mustExec(t, pg.Admin, "ALTER DATABASE "+pg.Name+" SET default_transaction_isolation = 'repeatable read'")
	tx, err := pg.Admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO people (mail, ssn, note) VALUES ('last@x', 'last', 'n')")
	done := make(chan error, 1)
	go func() {
		_, err := migrate.Seal(context.Background(), w.db, migrate.Options{For: migrate.ReadySealed, Lock: true})
		done <- err
	}()
	for all(t, pg.Admin, "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 'people'::regclass")[0] == "0" {
		time.Sleep(time.Millisecond)
	}
	if err := errors.Join(tx.Commit(), <-done); err != nil {
		t.Fatal(err)
	}
	w.look(t, migrate.ReadySealed, w.rows(t))
}

// Rows that a policy hides, which comes while a step is at work, are not passed over.
func TestHiddenMeanwhile(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, oneTableDDL+`; CREATE ROLE "an owner"; GRANT ALL ON SCHEMA public TO "an owner"; ALTER TABLE a OWNER TO "an owner"; CREATE POLICY p ON a USING (id < 5)`)
	mustExec(t, pg.Admin, `GRANT ALL ON colseal_keys, colseal_keys_stages TO "an owner"; ALTER DATABASE `+pg.Name+` SET role = 'an owner'`)
	t.Cleanup(func() {
		mustExec(t, pg.Admin, `RESET role; ALTER DATABASE `+pg.Name+` RESET role; DROP OWNED BY "an owner"; DROP ROLE "an owner"`)
	})
	db := w.open(t, oneColumn("a", "mail"))
	w.taken(t, db, way[0])
	hide := func(migrate.Progress) {
		mustExec(t, pg.Admin, "ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY")
	}
	mustExec(t, pg.Admin, "UPDATE a SET mail_sealed = NULL")
	if r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed, Progress: hide}); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("hidden: %+v, %v", r, err)
	}
	mustExec(t, pg.Admin, "ALTER TABLE a NO FORCE ROW LEVEL SECURITY")
	w.taken(t, db, way[1])
}

// A trigger that can change whole rows without a column's name is told of, and others are not.
func TestTriggersOfRows(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL+`
CREATE FUNCTION trims() RETURNS trigger LANGUAGE plpgsql AS 'DECLARE j jsonb := to_jsonb(NEW); BEGIN RETURN jsonb_populate_record(NEW, j); END';
CREATE FUNCTION puts() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW := OLD; RETURN NEW; END';
CREATE FUNCTION reads() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW = OLD THEN RETURN NULL; END IF; RETURN NEW; END';
CREATE TRIGGER rows_trim BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION trims();
CREATE TRIGGER rows_put BEFORE UPDATE ON people FOR EACH ROW WHEN (false) EXECUTE FUNCTION puts();
CREATE TRIGGER other_skip BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER other_read BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION reads();
CREATE TRIGGER other_after AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION trims();`)
	r, err := migrate.Seal(t.Context(), w.db, migrate.Options{DryRun: true})
	var told []string
	for _, n := range r.Notes {
		if _, n, ok := strings.Cut(n, "the trigger "); ok {
			told = append(told, strings.Fields(n)[0])
		}
	}
	slices.Sort(told)
	if err != nil || !slices.Equal(told, []string{"rows_put", "rows_trim"}) {
		t.Errorf("told of %q, %v", told, err)
	}
}

// A view that has more than can be made again is not made again.
func TestViewsWithMore(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	mustExec(t, pg.Admin, `CREATE VIEW told AS SELECT id, mail FROM people; COMMENT ON COLUMN told.mail IS 'told';
CREATE VIEW given AS SELECT id, mail FROM people; GRANT SELECT (id) ON given TO pg_monitor;
CREATE VIEW preset AS SELECT id, mail FROM people; ALTER VIEW preset ALTER id SET DEFAULT 5;
CREATE VIEW ruled AS SELECT id, mail FROM people; CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE VIEW acted AS SELECT id, mail FROM people; CREATE TRIGGER t INSTEAD OF UPDATE ON acted FOR EACH ROW EXECUTE FUNCTION touch()`)
	dump, dumped := w.dump(t), pgDump(t, pg)
	for _, l := range way {
		w.goTo(t, l)
	}
	if got := w.dump(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
	if got := pgDump(t, pg); got != dumped {
		t.Errorf("pg_dump differs in the end:\n%s", diff(dumped, got))
	}
}
