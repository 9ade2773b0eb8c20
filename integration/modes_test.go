package integration

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// person has a sealed column of each kind, of either mode where that is possible.
type person struct {
	ID     int64
	Email  *string    `db:"email" seal:"deterministic"`
	SSN    *string    `db:"ssn" seal:"random"`
	Age    *int64     `db:"age" seal:"deterministic"`
	Score  *float64   `db:"score" seal:"random"`
	OK     *bool      `db:"ok" seal:"random"`
	Born   *time.Time `db:"born" seal:"deterministic"`
	Doc    any        `db:"doc" seal:"random,kind=json"`
	UID    *string    `db:"uid" seal:"deterministic,kind=uuid"`
	Amount *string    `db:"amount" seal:"random,kind=numeric"`
	Tags   *string    `db:"tags" seal:"random,kind=text[]"`
	Nums   *string    `db:"nums" seal:"random,kind=int[]"`
	Raw    []byte     `db:"raw" seal:"deterministic"`
	Note   *string    `db:"note"`
}

// sealedColumns are person's, with their types in the plaintext twin.
var sealedColumns = [][2]string{{"email", "text"}, {"ssn", "text"}, {"age", "bigint"}, {"score", "float8"}, {"ok", "boolean"},
	{"born", "timestamptz"}, {"doc", "jsonb"}, {"uid", "uuid"}, {"amount", "numeric"}, {"tags", "text[]"}, {"nums", "bigint[]"}, {"raw", "bytea"}}

// peopleDDL makes a table whose sealed columns have one storage type, or those of the twin when storage is "".
func peopleDDL(storage string) string {
	ddl := "CREATE TABLE people (id bigint PRIMARY KEY"
	for _, c := range sealedColumns {
		kind := c[1]
		if storage != "" {
			kind = storage
		}
		ddl += ", " + c[0] + " " + kind
	}
	return ddl + ", note text)"
}

// peopleDump reads the whole table: what two tables are compared by.
func peopleDump(db *sql.DB) (string, error) {
	rows, err := db.Query("SELECT * FROM people ORDER BY id")
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	var b strings.Builder
	for rows.Next() {
		var p person
		var doc []byte
		err := rows.Scan(&p.ID, &p.Email, &p.SSN, &p.Age, &p.Score, &p.OK, &p.Born, &doc, &p.UID, &p.Amount, &p.Tags, &p.Nums, &p.Raw, &p.Note)
		if err != nil {
			return "", err
		}
		if doc != nil {
			if err := json.Unmarshal(doc, &p.Doc); err != nil {
				return "", err
			}
		}
		if p.Born != nil {
			utc := p.Born.UTC()
			p.Born = &utc
		}
		line, err := json.Marshal(p)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s raw-null=%v\n", line, p.Raw == nil)
	}
	return b.String(), rows.Err()
}

// outcome is what a case returned and what it left in the table.
func outcome(db *sql.DB, c modeCase) (string, error) {
	if _, err := db.Exec("DELETE FROM people"); err != nil {
		return "", err
	}
	if err := seedPeople(db); err != nil {
		return "", fmt.Errorf("seeding: %w", err)
	}
	got, err := c.run(db)
	if err != nil {
		return "", err
	}
	dump, err := peopleDump(db)
	return got + "\n" + dump, err
}

// TestModes does everything that a program does with a statement, in all five exec modes of pgx and with both storage
// types, and wants what plain pgx gives on a plaintext twin.
func TestModes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		create := func(name, storage string) {
			mustExec(t, pg.Admin, "CREATE SCHEMA "+name)
			mustExec(t, pg.Admin, strings.Replace(peopleDDL(storage), "people", name+".people", 1))
		}
		create("plain", "")
		twin := sql.OpenDB(stdlib.GetConnector(inSchema(t, pg, "plain", pgx.QueryExecModeCacheStatement)))
		defer func() { _ = twin.Close() }()
		want := map[string]string{}
		for _, c := range modeCases {
			got, err := outcome(twin, c)
			if err != nil {
				t.Fatalf("%s on the twin: %v", c.name, err)
			}
			want[c.name] = got
		}
		w := newWrapper(t)
		for _, storage := range []string{"in_bytea", "in_text"} {
			create(storage, strings.TrimPrefix(storage, "in_"))
			for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
				pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
				t.Run(storage+"/"+strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
					cn, err := driver.NewConnector(stdlib.GetConnector(inSchema(t, pg, storage, mode)), peopleConfig(w))
					if err != nil {
						t.Fatal(err)
					}
					db := sql.OpenDB(cn)
					defer func() { _ = db.Close() }()
					testMode(t, db, want, func(modeCase) bool { return true }, func() int { return notCells(t, pg, storage) })
				})
			}
			// Each schema has its own key table, and none is made where a table of that name holds cells.
			mustExec(t, pg.Admin, "DROP SCHEMA "+storage+" CASCADE")
		}
		t.Run("SQLite", func(t *testing.T) { testModesSQLite(t, w, want) })
	})
}

func peopleConfig(w kms.Wrapper) driver.Config {
	return driver.Config{Schema: schema.Must(schema.Model("people", person{})), KMS: w, AutoCreateKeyTable: true}
}

func inSchema(t *testing.T, pg *pgtest.DB, name string, mode pgx.QueryExecMode) pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["search_path"] = name
	cfg.DefaultQueryExecMode = mode
	return *cfg
}

// testModesSQLite runs the cases that are not PostgreSQL's own; $1 is SQLite's too.
func testModesSQLite(t *testing.T, w kms.Wrapper, want map[string]string) {
	cfg := peopleConfig(w)
	cfg.Dialect = driver.DialectSQLite
	file := "file:" + filepath.Join(t.TempDir(), "people.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"
	inner := sqliteConnector(file)
	cn, err := driver.NewConnector(inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	defer func() { _ = db.Close() }()
	mustExec(t, db, peopleDDL("blob"))
	plain := sql.OpenDB(inner)
	defer func() { _ = plain.Close() }()
	testMode(t, db, want, func(c modeCase) bool { return !c.pgOnly }, func() int {
		return scanOne[int](t, plain, "SELECT count(*) FROM people WHERE typeof(email) NOT IN ('blob', 'null') OR substr(email, 1, 1) <> x'01'")
	})
}

// sqliteConnector connects to a file.
type sqliteConnector string

func (c sqliteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return c.Driver().Open(string(c))
}

func (sqliteConnector) Driver() sqldriver.Driver { return new(sqlite.Driver) }

// testMode runs the cases and compares; notCells counts stored values that are not sealed.
func testMode(t *testing.T, db *sql.DB, want map[string]string, fits func(modeCase) bool, notCells func() int) {
	for _, c := range modeCases {
		if !fits(c) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			got, err := outcome(db, c)
			if err != nil {
				t.Fatal(err)
			}
			if got != want[c.name] {
				t.Errorf("got\n%s\nwant, as the twin\n%s", got, want[c.name])
			}
			if n := notCells(); n > 0 {
				t.Errorf("%d rows hold values that are not sealed", n)
			}
		})
	}
}

// notCells counts rows with anything but cells and NULL in the sealed columns.
func notCells(t *testing.T, pg *pgtest.DB, storage string) int {
	t.Helper()
	form := "substr(%s, 1, 2) NOT IN ('\\x0101', '\\x0102')"
	if storage == "in_text" {
		form = "%s NOT LIKE 'cs1:%%'"
	}
	var faults []string
	for _, c := range sealedColumns {
		faults = append(faults, fmt.Sprintf(form, c[0]))
	}
	return scanOne[int](t, pg.Admin, "SELECT count(*) FROM "+storage+".people WHERE "+strings.Join(faults, " OR "))
}
