package failover

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

var people = schema.Must(schema.Unscoped(schema.Columns("people",
	schema.Column{Name: "born", Mode: schema.ModeOrdered, Kind: schema.KindDate, Min: "1900-01-01", Max: "2069-12-31"},
	schema.Column{Name: "seen", Mode: schema.ModeOrdered, Kind: schema.KindTime},
	schema.Column{Name: "email", Mode: schema.ModeDeterministic, Terms: codec.Terms{Fold: true}},
	schema.Column{Name: "name", Terms: codec.Terms{Equal: true, Prefix: codec.Lengths{Min: 3, Max: 6}, Suffix: codec.Lengths{Min: 3, Max: 4}}},
	schema.Column{Name: "tags", Mode: schema.ModeDeterministic, Kind: schema.KindTextArray, Terms: codec.Terms{Elements: true}})))

const peopleRows = 3000

// searched is a database whose table people is searched, beside its plain twin.
type searched struct {
	port int
	name string
	user string
	kek  string
}

// open opens the database through Colseal, or as it is.
func (s searched) open(t *testing.T, sealed bool, params map[string]string, notice func(string)) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host=localhost port=%d user=%s dbname=%s sslmode=disable connect_timeout=10", s.port, s.user, s.name))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range params {
		cfg.RuntimeParams[name] = value
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if notice != nil {
			notice(n.Message)
		}
	}
	connector := stdlib.GetConnector(*cfg)
	if sealed {
		w, err := kms.Open(t.Context(), "localkms://"+s.kek)
		if err != nil {
			t.Fatal(err)
		}
		if connector, err = driver.NewConnector(connector, driver.Config{Schema: people, KMS: w}); err != nil {
			t.Fatal(err)
		}
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// searches are run on both tables. index is the one that has to serve it on the sealed one, with a plan for the values and with one
// for all values.
var searches = []struct {
	query string
	args  []any
	index string
}{
	{"SELECT id FROM %s WHERE born >= $1 AND born < $2 ORDER BY id", []any{day(1000), day(1020)}, "people_born_id_idx"},
	{"SELECT id FROM %s WHERE born BETWEEN $1 AND $2 ORDER BY born, id", []any{day(1000), day(1020)}, "people_born_id_idx"},
	{"SELECT id FROM %s WHERE (born, id) > ($1, $2) ORDER BY born, id LIMIT 20", []any{day(1500), 100}, "people_born_id_idx"},
	{"SELECT id FROM %s WHERE lower(email) = lower($1) ORDER BY id", []any{"Name77@EXAMPLE.com"}, "colseal_people_email_fold"},
	{"SELECT id FROM %s WHERE seen = $1", []any{instant(77)}, "people_seen_idx"},
	{"SELECT id FROM %s WHERE name LIKE $1 ORDER BY id", []any{"0077%"}, "colseal_people_name_terms"},
	{"SELECT id FROM %s WHERE name LIKE $1 ORDER BY id", []any{"%-77"}, "colseal_people_name_terms"},
	{"SELECT id FROM %s WHERE name = $1 ORDER BY id", []any{"0077-77"}, "colseal_people_name_terms"},
	{"SELECT id FROM %s WHERE $1 = ANY (tags) ORDER BY id", []any{"t77"}, "colseal_people_tags_terms"},
	{"SELECT id FROM %s WHERE tags @> $1 ORDER BY id", []any{"{u0,t77}"}, "colseal_people_tags_terms"},
	{"SELECT id FROM %s WHERE name NOT LIKE $1 AND $2 <> ALL (tags) ORDER BY id", []any{"0077%", "u3"}, ""},
	{"SELECT id FROM %s WHERE NOT (born < $1 OR born > $2) ORDER BY id", []any{day(3000), day(3300)}, ""},
	{"SELECT id FROM %s WHERE born >= '-infinity' ORDER BY born DESC, id", nil, ""},
	{"SELECT min(born) FROM %s", nil, "people_born_id_idx"},
	{"SELECT max(seen) AS latest FROM %s WHERE seen >= $1", []any{instant(77)}, "people_seen_idx"},
	{"SELECT min(born), max(born), min(seen), max(seen) FROM %s", nil, ""},
	{"SELECT born, seen, email, name FROM %s WHERE id = $1", []any{78}, ""},
}

func day(n int) time.Time { return time.Date(1990, 1, 1+n, 0, 0, 0, 0, time.UTC) }

func instant(n int64) time.Time { return time.UnixMicro(1_600_000_000_000_000 + n*1_234_567_891).UTC() }

// compare runs the searches on both tables.
func (s searched) compare(t *testing.T, where string) {
	t.Helper()
	sealed, plain := s.open(t, true, nil, nil), s.open(t, false, nil, nil)
	for _, q := range searches {
		got, err := all(sealed.QueryContext(t.Context(), fmt.Sprintf(q.query, "people"), q.args...))
		if err != nil {
			t.Fatalf("%s: %s: %v", where, q.query, err)
		}
		want, err := all(plain.QueryContext(t.Context(), fmt.Sprintf(q.query, "twin"), q.args...))
		if err != nil {
			t.Fatalf("%s: %s: %v", where, q.query, err)
		}
		if len(want) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s: %d rows of the sealed table differ from %d of the plain one", where, q.query, len(got), len(want))
		}
	}
}

// all reads rows as texts.
func all(rows *sql.Rows, err error) (out [][]string, _ error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		texts := make([]string, len(row))
		for i, v := range row {
			if at, ok := v.(time.Time); ok {
				v = at.UTC()
			}
			texts[i] = fmt.Sprint(v)
		}
		out = append(out, texts)
	}
	return out, rows.Err()
}

// plans looks at the plans that the server makes for the searches: they use the indexes, whether they are made for the values or for
// all values.
func (s searched) plans(t *testing.T, where string) {
	t.Helper()
	s.user = "postgres" // who alone may preload a library
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		var mu sync.Mutex
		var told strings.Builder
		db := s.open(t, true, map[string]string{"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0",
			"auto_explain.log_level": "notice", "plan_cache_mode": mode}, func(m string) { mu.Lock(); defer mu.Unlock(); told.WriteString(m) })
		for _, q := range searches {
			if q.index == "" {
				continue
			}
			told.Reset()
			if _, err := all(db.QueryContext(t.Context(), fmt.Sprintf(q.query, "people"), q.args...)); err != nil {
				t.Fatal(err)
			}
			if plan := told.String(); !strings.Contains(plan, " using "+q.index) && !strings.Contains(plan, "Bitmap Index Scan on "+q.index) {
				t.Errorf("%s, %s: %s does not use %s:\n%s", where, mode, q.query, q.index, plan)
			}
		}
	}
}

// TestSearchElsewhere: searches by order, in lower case and by terms give the right rows, by their indexes, in a database whose owner is no
// superuser, after HOT updates, after pg_dump and pg_restore, and on a logical replica.
func TestSearchElsewhere(t *testing.T) {
	for _, version := range []string{"15", "17"} {
		t.Run(version, func(t *testing.T) { searchElsewhere(t, startOn(t, version)) })
	}
}

func searchElsewhere(t *testing.T, p *pair) {
	p.psql(t, 0, "CREATE ROLE app LOGIN")
	p.psql(t, 0, "CREATE DATABASE app OWNER app")
	s := searched{p.ports[0], "app", "app", filepath.Join(t.TempDir(), "kek")}
	plain := s.open(t, false, nil, nil)
	script, err := ddl.Write(people, ddl.Options{Dialect: dialect.Postgres})
	if err != nil {
		t.Fatal(err)
	}
	for _, statements := range []string{"CREATE TABLE people (id bigint PRIMARY KEY, born bytea, seen bytea, email bytea, name bytea, tags bytea, visits int DEFAULT 0) WITH (fillfactor = 50)",
		`CREATE TABLE twin (id bigint PRIMARY KEY, born date, seen timestamptz, email text COLLATE "C.utf8", name text COLLATE "C.utf8", tags text[])`, script,
		"CREATE INDEX ON people (born, id); CREATE INDEX ON people (seen)"} {
		if _, err := plain.Exec(statements, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%v in %s", err, statements)
		}
	}
	sealed := s.open(t, true, nil, nil)
	random := rand.New(rand.NewPCG(1, 1))
	for first := 0; first < peopleRows; first += 100 {
		var marks []string
		var args []any
		for i := first; i < first+100; i++ {
			n := len(args)
			marks = append(marks, fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4, n+5, n+6))
			args = append(args, i, day(random.IntN(7000)), instant(int64(i)), []string{"Name%d@example.com", "NAME%d@Example.COM"}[i%2])
			args[n+3] = fmt.Sprintf(args[n+3].(string), i/2)
			args = append(args, fmt.Sprintf("%04d-%d", i%1000, i%500), fmt.Sprintf("{t%d,u%d}", i%1000, i%7))
		}
		for db, table := range map[*sql.DB]string{sealed: "people", plain: "twin"} {
			if _, err := db.Exec("INSERT INTO "+table+" (id, born, seen, email, name, tags) VALUES "+strings.Join(marks, ", "), args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	analyze := func(s searched) {
		t.Helper()
		if _, err := s.open(t, false, nil, nil).Exec("VACUUM ANALYZE"); err != nil {
			t.Fatal(err)
		}
	}
	analyze(s)
	s.compare(t, "at first")
	s.plans(t, "at first")

	// Updates that leave the sealed columns alone are HOT in spite of the indexes over them, the one over a function included.
	for range 3 {
		if _, err := sealed.Exec("UPDATE people SET visits = visits + 1 WHERE born >= $1", day(3500)); err != nil {
			t.Fatal(err)
		}
	}
	for db, table := range map[*sql.DB]string{sealed: "people", plain: "twin"} {
		if _, err := db.Exec("UPDATE "+table+" SET born = $1, email = $2, name = '0077-77', tags = '{t77,u0}' WHERE id < 50", day(1010), "Name77@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	s.await(t, "SELECT n_tup_hot_upd > 1000 FROM pg_stat_user_tables WHERE relname = 'people'")
	s.compare(t, "after HOT updates")
	s.plans(t, "after HOT updates")

	p.psql(t, 0, "CREATE DATABASE restored OWNER app")
	p.run(t, "pg_dump -h /tmp -p 5433 -U app -Fc app > /tmp/app.dump; pg_restore -h /tmp -p 5433 -U app -d restored --exit-on-error /tmp/app.dump")
	restored := s
	restored.name = "restored"
	analyze(restored)
	restored.compare(t, "restored")
	restored.plans(t, "restored")

	// The replica has the tables of a dump without data.
	p.run(t, `initdb --no-sync -U postgres -A trust -D /data/1 >/dev/null
		echo "host all all all trust" >> /data/1/pg_hba.conf
		printf "listen_addresses='*'\nfsync=off\nsynchronous_commit=off\nunix_socket_directories='/tmp'\n" >> /data/1/postgresql.conf`)
	p.up(t, 1)
	p.psql(t, 1, "CREATE ROLE app LOGIN")
	p.psql(t, 1, "CREATE DATABASE app OWNER app")
	p.run(t, `pg_dump -h /tmp -p 5433 -U app -s app | psql -h /tmp -p 5434 -U app -d app -qX -v ON_ERROR_STOP=1
		psql -h /tmp -p 5433 -U postgres -d app -qXc "CREATE PUBLICATION searches FOR ALL TABLES"
		psql -h /tmp -p 5434 -U postgres -d app -qXc "CREATE SUBSCRIPTION searches CONNECTION 'host=/tmp port=5433 user=postgres dbname=app' PUBLICATION searches"`)
	replica := searched{p.ports[1], "app", "app", s.kek}
	replica.await(t, fmt.Sprintf("SELECT (SELECT count(*) FROM people) = %d AND (SELECT count(*) FROM twin) = %[1]d AND (SELECT count(*) FROM colseal_keys) > 1", peopleRows))
	for db, table := range map[*sql.DB]string{sealed: "people", plain: "twin"} {
		if _, err := db.Exec("UPDATE "+table+" SET born = $1, email = $2, name = '0077-77', tags = '{t77,u0}' WHERE id BETWEEN 50 AND 60", day(1011), "NAME77@example.com"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DELETE FROM " + table + " WHERE id = 61"); err != nil {
			t.Fatal(err)
		}
	}
	replica.await(t, "SELECT NOT EXISTS (SELECT FROM people WHERE id = 61) AND NOT EXISTS (SELECT FROM twin WHERE id = 61)")
	analyze(replica)
	replica.compare(t, "on a logical replica")
	replica.plans(t, "on a logical replica")
}

// await waits until a query is true, for a minute at most.
func (s searched) await(t *testing.T, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db := s.open(t, false, nil, nil)
	for ok := false; !ok; {
		if err := db.QueryRowContext(ctx, query).Scan(&ok); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if !ok {
			time.Sleep(100 * time.Millisecond)
		}
	}
}
