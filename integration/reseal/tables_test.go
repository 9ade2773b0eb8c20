package reseal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/schema"
)

var people = schema.Must(schema.Columns("people",
	schema.Column{Name: "mail", Mode: schema.ModeDeterministic},
	schema.Column{Name: "ssn"},
	schema.Column{Name: "age", Kind: schema.KindInt, Mode: schema.ModeDeterministic}))

// Every kind of table, by what tells its rows apart.
func TestTables(t *testing.T) {
	const cols = "mail bytea, ssn text, age bytea"
	kinds := []struct{ name, ddl, refused string }{
		{"bigint", "CREATE TABLE people (n bigint PRIMARY KEY, " + cols + ")", ""},
		{"composite", `CREATE TABLE people (n bigint, kind char(3) DEFAULT 'x', "At" timestamptz DEFAULT now(), ` + cols + `, PRIMARY KEY ("At", kind, n))`, ""},
		{"uuid", "CREATE TABLE people (n bigint, id uuid PRIMARY KEY DEFAULT gen_random_uuid(), " + cols + ")", ""},
		{"no key", "CREATE TABLE people (n bigint, " + cols + ")", ""},
		{"sealed key", "CREATE TABLE people (n bigint, mail bytea PRIMARY KEY, ssn text, age bytea)", ""},
		{"text key", `CREATE TABLE people (n bigint, w text COLLATE "C" PRIMARY KEY DEFAULT md5(random()::text), ` + cols + ")", ""},
		{"partitioned", "CREATE TABLE people (n bigint PRIMARY KEY, " + cols + ") PARTITION BY RANGE (n); " +
			"CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (0) TO (40); CREATE TABLE people_2 PARTITION OF people DEFAULT", ""},
		{"partitioned, no key", "CREATE TABLE people (n bigint, " + cols + ") PARTITION BY RANGE (n); CREATE TABLE people_1 PARTITION OF people DEFAULT", "no primary key"},
		{"wrong type", "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bigint)", "cannot hold cells"},
		{"strings that are not standard", "ALTER DATABASE %s SET standard_conforming_strings = off; CREATE TABLE people (n bigint PRIMARY KEY, " + cols + ")", ""},
		{"NULL is a word", "ALTER DATABASE %s SET array_nulls = off; CREATE TABLE people (n bigint PRIMARY KEY, " + cols + ")", ""},
		{"bytea in the other form", "ALTER DATABASE %s SET bytea_output = escape; CREATE TABLE people (n bigint, k bytea DEFAULT decode(md5(random()::text), 'hex') PRIMARY KEY, " + cols + ")", ""},
		{"other schema", "CREATE SCHEMA app; ALTER DATABASE %s SET search_path = app, public; CREATE TABLE app.people (n bigint PRIMARY KEY, " + cols + ")", ""},
	}
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for _, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				mustExec(t, pg.Admin, "DROP TABLE IF EXISTS people, colseal_keys CASCADE")
				w := newWorld(t, pg, people, strings.ReplaceAll(kind.ddl, "%s", pg.Name))
				if kind.refused != "" {
					if _, err := reseal.Run(t.Context(), w.db, reseal.Options{}); err == nil || !strings.Contains(err.Error(), kind.refused) {
						t.Errorf("got %v", err)
					}
					return
				}
				testTable(t, w)
			})
		}
	})
}

func testTable(t *testing.T, w *world) {
	const n = 45
	insert := func(from, to int) {
		for i := from; i <= to; i++ {
			ctx := t.Context()
			if i%10 == 0 { // not among those that are searched for below
				ctx = keyring.WithScope(ctx, "tenant:7")
			}
			var ssn any = fmt.Sprint("ssn-", i)
			if i%3 == 0 {
				ssn = nil
			}
			if _, err := w.db.ExecContext(ctx, "INSERT INTO people (n, mail, ssn, age) VALUES ($1, $2, $3, $4)", i, fmt.Sprint("m", i), ssn, i%5); err != nil {
				t.Fatal(err)
			}
		}
	}
	insert(1, n)
	want := read(t, w)
	w.renew(t, "")
	w.renew(t, "tenant:7")
	r := w.reseal(t, reseal.Options{Batch: 7})
	if r.Resealed != 3*n-n/3 || r.Left()+r.Lost+r.Unreadable+r.Duplicates != 0 || r.Rows != n || r.Passes != 1 {
		t.Errorf("report: %+v", r)
	}
	w.retire(t)
	fresh := w.open(t, nil)
	w.db = fresh
	if got := read(t, w); !slices.Equal(got, want) {
		t.Errorf("values changed:\n%v\n%v", got, want)
	}
	if got := all(t, fresh, "SELECT n FROM people WHERE mail = $1", "m7"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("a search finds %v", got)
	}
	if got := len(all(t, fresh, "SELECT n FROM people WHERE age = $1", 3)); got != n/5 {
		t.Errorf("a search finds %d", got)
	}
	if r := w.reseal(t, reseal.Options{}); r.Rows+r.Resealed != 0 {
		t.Errorf("the second time: %+v", r)
	}
}

// read returns the values of all people, sorted.
func read(t *testing.T, w *world) []string {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), "SELECT n, mail, ssn, age FROM people ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var n, age int
		var mail string
		var ssn *string
		if err := rows.Scan(&n, &mail, &ssn, &age); err != nil {
			t.Fatal(err)
		}
		if ssn == nil {
			ssn = new(string)
		}
		out = append(out, fmt.Sprint(n, mail, *ssn, age))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Rows that a unique index or a foreign key is about.
func TestKeysBetweenTables(t *testing.T) {
	tables := schema.Must(
		schema.Columns("aliases", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail"}), // before its parent in the schema
		schema.Columns("people", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail"}, schema.Column{Name: "ssn"}))
	fill := func(t *testing.T, w *world) {
		for i := range 20 {
			mustExec(t, w.db, "INSERT INTO people (n, mail, ssn) VALUES ($1, $2, $3)", i, fmt.Sprint("m", i), "s")
			mustExec(t, w.db, "INSERT INTO aliases (n, mail) VALUES ($1, $2)", i, fmt.Sprint("m", i/2))
		}
	}
	const joined = "SELECT count(*) FROM people p JOIN aliases a ON a.mail = p.mail"
	ddl := func(action string) string {
		return "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea UNIQUE, ssn bytea); CREATE TABLE aliases (n bigint PRIMARY KEY, mail bytea REFERENCES people (mail)" + action + ")"
	}
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		reset := func(t *testing.T, action string) *world {
			mustExec(t, pg.Admin, "DROP TABLE IF EXISTS people, aliases, colseal_keys CASCADE")
			w := newWorld(t, pg, tables, ddl(action))
			fill(t, w)
			w.renew(t, "")
			return w
		}
		t.Run("cascade", func(t *testing.T) {
			w := reset(t, " ON UPDATE CASCADE")
			r := w.reseal(t, reseal.Options{Batch: 6})
			if r.Left()+r.Orphans+r.Duplicates != 0 {
				t.Errorf("report: %+v", r)
			}
			if got := all(t, pg.Admin, joined); got[0] != "20" {
				t.Errorf("%s rows join", got)
			}
			w.retire(t)
			if got := all(t, w.open(t, nil), "SELECT count(*) FROM aliases WHERE mail = $1", "m3"); got[0] != "2" {
				t.Errorf("%s aliases are found", got)
			}
		})
		t.Run("no action", func(t *testing.T) {
			w := reset(t, "")
			r := w.reseal(t, reseal.Options{Batch: 6})
			if r.Orphans == 0 || r.Left() != 20+10 { // aliases, and who is referred to
				t.Errorf("report: %+v", r)
			}
			if got := all(t, pg.Admin, joined); got[0] != "20" {
				t.Errorf("%s rows join", got)
			}
			mustExec(t, pg.Admin, "ALTER TABLE aliases DROP CONSTRAINT aliases_mail_fkey, ADD FOREIGN KEY (mail) REFERENCES people (mail) ON UPDATE CASCADE")
			if r := w.reseal(t, reseal.Options{}); r.Left() != 0 {
				t.Errorf("after the repair: %+v", r)
			}
		})
		t.Run("duplicates", func(t *testing.T) {
			w := reset(t, " ON UPDATE CASCADE")
			late := w.open(t, nil) // its keys are the new ones
			mustExec(t, late, "INSERT INTO people (n, mail, ssn) VALUES (99, 'm15', 's')")
			r := w.reseal(t, reseal.Options{})
			if r.Duplicates != 1 || r.Left() != 1 || r.Resealed == 0 {
				t.Errorf("report: %+v", r)
			}
			mustExec(t, late, "DELETE FROM people WHERE n = 99")
			if r := w.reseal(t, reseal.Options{}); r.Left() != 0 {
				t.Errorf("after the repair: %+v", r)
			}
		})
	})
}

// Somebody holds rows: Reseal does not wait for them, and comes back.
func TestLockedRows(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea)")
		for i := range 50 {
			mustExec(t, w.db, "INSERT INTO people VALUES ($1, $2, $3, $4)", i, fmt.Sprint("m", i), "s", i)
		}
		w.renew(t, "")
		tx, err := pg.Admin.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		mustExec(t, tx, "SELECT FROM people WHERE n BETWEEN 10 AND 19 FOR UPDATE")
		r := w.reseal(t, reseal.Options{Progress: func(p reseal.Progress) {
			if p.Pass == 2 {
				_ = tx.Commit()
			}
		}})
		if r.Lost != 60 || r.Passes != 3 || r.Left() != 0 || r.Resealed != 150 {
			t.Errorf("report: %+v", r)
		}
	})
}

// Whoever writes between the reading of a row and its replacement wins: also over a row that is gone.
func TestWritersWin(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea)")
		for i := range 5 {
			mustExec(t, w.db, "INSERT INTO people VALUES ($1, $2, $3, $4)", i, fmt.Sprint("m", i), "s", i)
		}
		w.renew(t, "")
		writer := w.open(t, nil)
		var write sync.Once
		written := false
		w.db = w.open(t, func(cfg *driver.Config) {
			cfg.KMS = &hookKMS{Wrapper: w.kms, hook: func() {
				write.Do(func() { // the batch was read, and its first key is asked for
					mustExec(t, writer, "UPDATE people SET mail = 'new', age = 77 WHERE n = 1")
					mustExec(t, writer, "DELETE FROM people WHERE n = 2")
					mustExec(t, writer, "UPDATE people SET ssn = 'new' WHERE n = 3")
					written = true
				})
			}}
		})
		r := w.reseal(t, reseal.Options{})
		if !written || r.Lost == 0 || r.Passes < 2 || r.Left() != 0 || r.Resealed != 3+1+2+3 {
			t.Errorf("the writer was not in the way: %+v", r)
		}
		w.db = w.open(t, nil)
		if got, want := read(t, w), []string{"0m0s0", "1news77", "3m3new3", "4m4s4"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Columns change their kinds, of which one is deterministic: old cells are an error that says so, until they are converted.
// What does not convert stays and is counted.
func TestKindChanged(t *testing.T) {
	before := schema.Must(schema.Columns("people",
		schema.Column{Name: "mail", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"},
		schema.Column{Name: "age", Kind: schema.KindInt, Mode: schema.ModeDeterministic}, schema.Column{Name: "born", Kind: schema.KindTime}))
	after := schema.Must(schema.Columns("people",
		schema.Column{Name: "mail", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn", Kind: schema.KindInt},
		schema.Column{Name: "age", Kind: schema.KindText, Mode: schema.ModeDeterministic}, schema.Column{Name: "born", Kind: schema.KindDate}))
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, before, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea, born bytea)")
		const n = 20
		for i := range n {
			ssn := fmt.Sprint(1000 + i)
			if i == 7 {
				ssn = "no number"
			}
			// An hour before midnight in London is another day in Kolkata.
			mustExec(t, w.db, "INSERT INTO people VALUES ($1, $2, $3, $4, $5)", i, fmt.Sprint("m", i), ssn, i%5, time.Date(2020, 1, 1+i, 23, 0, 0, 0, time.UTC))
		}
		w.tables = after
		w.db = w.open(t, nil)
		for _, column := range []string{"ssn", "age", "born"} {
			if err := w.db.QueryRow("SELECT " + column + " FROM people WHERE n = 1").Scan(new(any)); !errors.Is(err, driver.ErrKind) {
				t.Errorf("%s before: %v", column, err)
			}
		}
		if got := all(t, w.db, "SELECT n FROM people WHERE age = $1", "3"); len(got) != 0 {
			t.Errorf("a search for a text finds rows of the old kind: %v", got)
		}
		if r := w.reseal(t, reseal.Options{}); r.Rows+r.Resealed != 0 { // their keys are current
			t.Errorf("without FromKind: %+v", r)
		}
		for _, tt := range []struct {
			column              string
			from                schema.Kind
			zone                *time.Location
			resealed, remaining int64
		}{
			{"people.ssn", schema.KindText, nil, n - 1, 1},
			{"people.age", schema.KindInt, nil, n, 0},
			{"people.born", schema.KindTime, nil, 0, n}, // which day it is depends on the place
			{"people.born", schema.KindTime, time.FixedZone("", 5*3600+1800), n, 0},
			{"people.born", schema.KindTime, nil, 0, 0}, // and once more, for nothing
		} {
			r := w.reseal(t, reseal.Options{Columns: []string{tt.column}, FromKind: tt.from, TimeZone: tt.zone, Batch: 6})
			if r.Resealed != tt.resealed || r.Unreadable != tt.remaining {
				t.Errorf("%s from %v in %v: %+v", tt.column, tt.from, tt.zone, r)
			}
			t.Logf("%s from %v in %v: %d converted, %d not", tt.column, tt.from, tt.zone, r.Resealed, r.Unreadable)
		}
		w.db = w.open(t, nil)
		if got := all(t, w.db, "SELECT n FROM people WHERE age = $1 ORDER BY n", "3"); !slices.Equal(got, []string{"3", "8", "13", "18"}) {
			t.Errorf("a search for the new kind finds %v", got)
		}
		var ssn int64
		var born time.Time
		if err := w.db.QueryRow("SELECT ssn, born FROM people WHERE n = 4").Scan(&ssn, &born); err != nil {
			t.Fatal(err)
		}
		if want := time.Date(2020, 1, 6, 0, 0, 0, 0, time.UTC); ssn != 1004 || !born.Equal(want) {
			t.Errorf("row 4 has %d and %v, want 1004 and %v", ssn, born, want)
		}
		if err := w.db.QueryRow("SELECT ssn FROM people WHERE n = 7").Scan(&ssn); !errors.Is(err, driver.ErrKind) {
			t.Errorf("what does not convert: %v", err)
		}
	})
}
