//go:build unix

package inout

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

const liteDDL = `
CREATE TABLE people (
	id INTEGER PRIMARY KEY AUTOINCREMENT, -- it's kept
	mail VARCHAR(200) NOT NULL /* where it's read */ CONSTRAINT one_mail UNIQUE CHECK (mail <> ''),
	ssn text DEFAULT 'none',
	[age] integer,
	"note" TEXT COLLATE NOCASE,
	changed TEXT,
	CONSTRAINT known CHECK (ssn <> mail), UNIQUE (note, mail)
	);
CREATE INDEX people_age ON people (age DESC);
CREATE INDEX people_mail_lower ON people (lower(mail));
CREATE INDEX mail ON people (note, mail) WHERE mail IS NOT NULL;
CREATE INDEX people_both ON people (mail, age);
CREATE UNIQUE INDEX people_changed ON people (changed);
CREATE TABLE letters (id INTEGER PRIMARY KEY, mail text REFERENCES people (mail) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, body text) STRICT;
CREATE TABLE visits (mail text, day text, "at" datetime, yes boolean, PRIMARY KEY (day, mail)) WITHOUT ROWID;
CREATE TABLE plain (n, copied, blob BLOB, secret, doc json, gen AS (n + 1));
CREATE VIEW adults AS SELECT p.id, p.age FROM people p WHERE p.note = 'n';
CREATE VIEW everybody AS SELECT * FROM people;
CREATE TRIGGER touched AFTER UPDATE OF note ON people BEGIN UPDATE people SET changed = 'at ' || NEW.id WHERE id = NEW.id; END`

// liteTables is the schema of the tables of liteDDL.
func liteTables() *schema.Schema {
	mail := schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail", Stage: schema.StageCopy}
	return schema.Must(
		schema.Columns("people", mail, schema.Column{Name: "ssn", Stage: schema.StageCopy},
			schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "200", Stage: schema.StageCopy}),
		schema.Columns("letters", mail),
		schema.Columns("visits", schema.Column{Name: "at", Kind: schema.KindTime, Stage: schema.StageCopy}, schema.Column{Name: "yes", Kind: schema.KindBool, Stage: schema.StageCopy}),
		schema.Columns("plain", schema.Column{Name: "blob", Kind: schema.KindBytes, Stage: schema.StageCopy}, schema.Column{Name: "secret", Kind: schema.KindFloat, Stage: schema.StageCopy},
			schema.Column{Name: "doc", Kind: schema.KindJSON, Stage: schema.StageCopy}))
}

// liteWorld is a file.
type liteWorld struct {
	file   string
	kms    kms.Wrapper
	kmsURL string
	admin  *sql.DB
}

// liteConnector opens a file.
type liteConnector string

func (c liteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return (&sqlite.Driver{}).Open("file:" + string(c) + "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
}
func (c liteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func newLiteWorld(t *testing.T, journal string) *liteWorld {
	t.Helper()
	dir := t.TempDir()
	w := &liteWorld{file: filepath.Join(dir, "db"), kmsURL: "localkms://" + filepath.Join(dir, "kek")}
	var err error
	if w.kms, err = kms.Open(t.Context(), w.kmsURL); err != nil {
		t.Fatal(err)
	}
	w.admin = sql.OpenDB(liteConnector(w.file))
	w.admin.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = w.admin.Close() })
	mustExec(t, w.admin, "PRAGMA journal_mode = "+journal)
	for statement := range strings.SplitSeq(liteDDL, ";\nCREATE ") {
		mustExec(t, w.admin, "CREATE "+strings.TrimPrefix(strings.TrimSpace(statement), "CREATE "))
	}
	if err := keyring.OpenStore(w.admin, keyring.DialectSQLite, "").Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *liteWorld) fill(t *testing.T, n int) {
	t.Helper()
	mustExec(t, w.admin, fmt.Sprintf(`WITH RECURSIVE g(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM g WHERE g < %d)
		INSERT INTO people (id, mail, ssn, age, note, changed) SELECT g * 3, 'm' || g || '@x', NULLIF('canary' || printf('%%06d', g), 'canary000003'), NULLIF(g %% 100, 5), 'n' || g, g FROM g`, n))
	mustExec(t, w.admin, "INSERT INTO letters (mail, body) SELECT mail, 'b' FROM people WHERE id % 2")
	mustExec(t, w.admin, "INSERT INTO visits SELECT mail, 'd' || id, CASE id % 3 WHEN 0 THEN '2026-01-02 03:04:05+00:00' WHEN 1 THEN NULL ELSE '2026-01-02 03:04:05.123456+00:00' END, id % 2 FROM people WHERE id < 900")
	mustExec(t, w.admin, `INSERT INTO plain VALUES (1, 'one', x'00ff', 1.5, '{"a": 1}'), (x'01', 2.5, x'', -1.0, '[]'), (NULL, NULL, NULL, NULL, NULL), ('1', 1, NULL, 3.0, NULL)`)
	mustExec(t, w.admin, "DELETE FROM people WHERE id = (SELECT max(id) FROM people) AND mail NOT IN (SELECT mail FROM visits)")
	mustExec(t, w.admin, "ANALYZE")
}

// open opens the file as a program does, in a stage.
func (w *liteWorld) open(t *testing.T, stage schema.Stage) *sql.DB {
	t.Helper()
	db, err := openLite(liteConnector(w.file), w.kms, stage)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func openLite(cn sqldriver.Connector, w kms.Wrapper, stage schema.Stage) (*sql.DB, error) {
	stages := map[string]schema.Stage{}
	for _, t := range []string{"people", "letters", "visits", "plain"} {
		stages[t] = stage
	}
	sealed, err := driver.NewConnector(cn, driver.Config{Schema: liteTables(), KMS: w, Dialect: driver.DialectSQLite, Stages: stages})
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(sealed), nil
}

// dump describes what the file has of the tables.
func (w *liteWorld) dump(t *testing.T) string {
	t.Helper()
	return strings.Join(all(t, w.admin, `SELECT concat_ws(' ', type, name, tbl_name, sql) FROM sqlite_master WHERE tbl_name NOT LIKE 'colseal%' ORDER BY type, name`), "\n")
}

// rows reads all that a plaintext is of, by the types that it has.
func (w *liteWorld) rows(t *testing.T) []string {
	t.Helper()
	var out []string
	for table, columns := range map[string]string{"people": "id mail ssn age note changed", "letters": "rowid id mail body", "visits": "mail day at yes", "plain": "rowid n copied blob secret doc gen",
		"sqlite_sequence": "name seq", "sqlite_stat1": "tbl idx"} {
		var list []string
		for c := range strings.FieldsSeq(columns) {
			list = append(list, fmt.Sprintf("typeof(%[1]s) || quote(%[1]s)", c))
		}
		out = append(out, all(t, w.admin, "SELECT '"+table+" ' || "+strings.Join(list, " || '|' || ")+" FROM "+table)...)
	}
	slices.Sort(out)
	return out
}

// liteSeal and liteUnseal are the two ways.
var (
	liteSeal   = migrate.Options{For: migrate.ReadySealedOnly, Lock: true}
	liteUnseal = migrate.Options{For: migrate.ReadyPlain, Lock: true}
)

func (w *liteWorld) status(t *testing.T, db *sql.DB, ready migrate.Ready) {
	t.Helper()
	all, err := migrate.Status(t.Context(), db)
	if err != nil || len(all) != 9 {
		t.Fatalf("status: %+v, %v", all, err)
	}
	for _, s := range all {
		if s.Ready != ready || !s.Done || s.Unsealed != 0 {
			t.Errorf("status: %+v, want ready for %s", s, ready)
		}
	}
}

// Columns of SQLite go in and out again in one transaction each, and all is as it was. What programs find in between is what was there.
func TestSQLiteThereAndBack(t *testing.T) {
	for _, journal := range []string{"delete", "wal", "persist"} {
		t.Run(journal, func(t *testing.T) {
			w := newLiteWorld(t, journal)
			w.fill(t, 1000)
			want, dump := w.rows(t), w.dump(t)
			before := w.open(t, schema.StageCopy)
			plain := programRows(t, before)
			w.status(t, before, migrate.ReadyPlain)
			for _, bad := range []migrate.Options{{For: migrate.ReadyCopy, Lock: true}, {For: migrate.ReadySealedOnly}} {
				if _, err := migrate.Seal(t.Context(), before, bad); err == nil || !strings.Contains(err.Error(), "stop the programs") {
					t.Errorf("%+v: %v", bad, err)
				}
			}
			dry := liteSeal
			dry.DryRun = true
			listed, err := migrate.Seal(t.Context(), before, dry)
			if err != nil || len(listed.Steps) != 5 || w.dump(t) != dump {
				t.Fatalf("a dry run: %+v, %v", listed, err)
			}
			r, err := migrate.Seal(t.Context(), before, liteSeal)
			if err != nil || r.Sealed < 4000 || !slices.EqualFunc(r.Steps, listed.Steps, func(a, b migrate.Step) bool { return slices.Equal(a.SQL, b.SQL) }) {
				t.Fatalf("seal: %d sealed, %q, %v", r.Sealed, r.Problems, err)
			}
			sealed := r.Sealed
			if len(r.Notes) < 4 {
				t.Errorf("notes: %q", r.Notes)
			}
			w.status(t, before, migrate.ReadySealedOnly)
			if n := all(t, w.admin, "SELECT CAST(count(*) AS text) FROM people WHERE mail IS NOT NULL OR ssn IS NOT NULL OR age IS NOT NULL")[0]; n != "0" {
				t.Errorf("%s rows have plain values", n)
			}
			if found := leftIn(t, w.file); found != 0 {
				t.Errorf("%d values are left in the file", found)
			}
			again, err := migrate.Seal(t.Context(), before, liteSeal)
			if err != nil || again.Sealed != 0 {
				t.Errorf("seal again: %+v, %v", again, err)
			}
			if rows, err := w.open(t, schema.StageCopy).QueryContext(t.Context(), "SELECT mail FROM people"); !errors.Is(err, driver.ErrRefused) {
				t.Errorf("a program in copy: %v, %v", rows, err)
			}
			only := w.open(t, schema.StageOnly)
			if got := programRows(t, only); !slices.Equal(got, plain) {
				t.Errorf("a program in only finds\n%s", diff(strings.Join(plain, "\n"), strings.Join(got, "\n")))
			}
			writes(t, only)
			if r, err = migrate.Unseal(t.Context(), only, liteUnseal); err != nil || r.Opened != sealed {
				t.Fatalf("unseal: %d opened of %d, %q, %v", r.Opened, sealed, r.Problems, err)
			}
			w.status(t, only, migrate.ReadyPlain)
			if got := w.dump(t); got != dump {
				t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
			}
			if got := w.rows(t); !slices.Equal(got, want) {
				t.Errorf("the rows differ in the end:\n%s", diff(strings.Join(want, "\n"), strings.Join(got, "\n")))
			}
			if ok := all(t, w.admin, "PRAGMA integrity_check"); !slices.Equal(ok, []string{"ok"}) {
				t.Error(ok)
			}
		})
	}
}

// programRows is what queries find.
func programRows(t *testing.T, db *sql.DB) []string {
	t.Helper()
	var out []string
	for _, q := range []string{"SELECT * FROM people ORDER BY id", "SELECT * FROM letters ORDER BY id", "SELECT mail, day FROM visits ORDER BY day", "SELECT n, copied, blob, secret, gen FROM plain ORDER BY rowid",
		"SELECT id, ssn FROM people WHERE mail = 'm7@x'", "SELECT p.id, l.id, l.mail FROM people p JOIN letters l ON l.mail = p.mail ORDER BY 1",
		"SELECT id, age FROM people WHERE age >= 98 ORDER BY id", "SELECT id FROM adults ORDER BY id", "SELECT id, mail FROM everybody WHERE mail = 'm8@x'", "SELECT count(*) FROM people WHERE ssn IS NULL"} {
		rows, err := lines(db.QueryContext(t.Context(), q))(1)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		out = append(append(out, q), rows...)
		all, err := db.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := all.Columns()
		if err := errors.Join(err, all.Close()); err != nil {
			t.Fatal(err)
		}
		if rows, err = lines(db.QueryContext(t.Context(), q))(len(columns)); err != nil {
			t.Fatal(err)
		}
		out = append(append(out, fmt.Sprint(columns)), rows...)
	}
	return out
}

// writes changes rows, and takes back what it did. The constraints hold as they did.
func writes(t *testing.T, db *sql.DB) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	mustExec(t, tx, "INSERT INTO people (mail, ssn, age, note) VALUES (?, ?, ?, ?)", "new@x", "s", 44, "new")
	mustExec(t, tx, "INSERT INTO people (id, mail, note) VALUES (?, ?, ?) ON CONFLICT (mail) DO UPDATE SET ssn = 'again'", 100000, "new@x", "newer")
	mustExec(t, tx, "INSERT INTO letters (mail) VALUES (?)", "new@x")
	var ssn string
	if err := tx.QueryRowContext(t.Context(), "SELECT ssn FROM people WHERE mail = ?", "new@x").Scan(&ssn); err != nil || ssn != "again" {
		t.Errorf("a row that was written: %q, %v", ssn, err)
	}
	for _, q := range []string{"INSERT INTO people (mail, note) VALUES ('m1@x', 'other')", "INSERT INTO people (mail, note) VALUES (NULL, 'other')",
		"INSERT INTO people (mail_sealed, note) VALUES (x'00', 'other')"} {
		if _, err := tx.ExecContext(t.Context(), q); err == nil {
			t.Errorf("%s is taken", q)
		}
	}
	mustExec(t, tx, "DELETE FROM people WHERE mail = 'new@x'")
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM letters WHERE mail IS NULL").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d letters have no mail, %v", n, err)
	}
}

// leftIn counts the values of people that stand in the file, and in what is beside it.
func leftIn(t *testing.T, file string) int {
	t.Helper()
	files, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range canary.FindAll(data, -1) {
			found[string(c)] = true
		}
	}
	return len(found)
}

// liteChildEnv tells this test binary to be a process that goes in or out, and dies at a statement.
const liteChildEnv = "COLSEAL_TEST_INOUT_SQLITE"

// dying counts statements, and ends the process at one of them.
type dying struct {
	liteConnector
	life *mortal.Life
}

type dyingConn struct {
	sqldriver.Conn
	life *mortal.Life
}

func (c dying) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := c.liteConnector.Connect(ctx)
	return dyingConn{conn, c.life}, err
}

func (c dyingConn) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	return c.Conn.(sqldriver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c dyingConn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	return c.Conn.(sqldriver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c dyingConn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	c.life.Step()
	defer c.life.Step()
	return c.Conn.(sqldriver.ExecerContext).ExecContext(ctx, query, args)
}

func (c dyingConn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	c.life.Step()
	return c.Conn.(sqldriver.QueryerContext).QueryContext(ctx, query, args)
}

// liteAndDie is a process of its own. Its environment has the file, KMS, where it dies, and the way.
func liteAndDie() error {
	args := strings.Split(os.Getenv(liteChildEnv), "\n")
	dieAt, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	w, err := kms.Open(context.Background(), args[1])
	if err != nil {
		return err
	}
	life := mortal.New(dieAt)
	db, err := openLite(dying{liteConnector(args[0]), life}, w, schema.StageCopy)
	if err != nil {
		return err
	}
	if args[3] == "in" {
		_, err = migrate.Seal(context.Background(), db, liteSeal)
	} else {
		_, err = migrate.Unseal(context.Background(), db, liteUnseal)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	life.Report()
	return nil
}

// A process that is killed at any statement leaves all as it was, or all done. Run again, it is done.
func TestSQLiteKilled(t *testing.T) {
	w := newLiteWorld(t, "wal")
	w.fill(t, 300)
	want, dump := w.rows(t), w.dump(t)
	died, in := 0, 0
	for _, way := range []string{"in", "out"} {
		for at := int64(1) + rand.Int64N(3); ; at += 1 + rand.Int64N(5) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), liteChildEnv+"="+strings.Join([]string{w.file, w.kmsURL, fmt.Sprint(at), way}, "\n"))
			out, err := cmd.Output()
			steps, ended := mortal.Ended(cmd, out, err)
			if ended != nil {
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					t.Logf("%s", exit.Stderr)
				}
				t.Fatalf("%s, killed at %d: %v", way, at, ended)
			}
			if steps > 0 {
				break
			}
			died++
			switch got := w.dump(t); {
			case got == dump:
				if rows := w.rows(t); !slices.Equal(rows, want) {
					t.Fatalf("%s, killed at %d: the rows differ:\n%s", way, at, diff(strings.Join(want, "\n"), strings.Join(rows, "\n")))
				}
			case strings.Count(got, "_sealed\" BLOB") == 9:
				in++
			default:
				t.Fatalf("%s, killed at %d: it is half done:\n%s", way, at, got)
			}
		}
	}
	if t.Logf("%d processes were killed, %d of them with all sealed", died, in); died < 40 || in == 0 {
		t.Error("too few processes were killed")
	}
	w.isAsBefore(t, dump, want)
}

// isAsBefore compares the schema and the rows in the end.
func (w *liteWorld) isAsBefore(t *testing.T, dump string, want []string) {
	t.Helper()
	if got := w.dump(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
	if rows := w.rows(t); !slices.Equal(rows, want) {
		t.Errorf("the rows differ in the end:\n%s", diff(strings.Join(want, "\n"), strings.Join(rows, "\n")))
	}
}

// What cannot be carried along is found before anything is changed.
func TestSQLiteProblems(t *testing.T) {
	w := newLiteWorld(t, "delete")
	w.fill(t, 20)
	db := w.open(t, schema.StageCopy)
	for statement, undo := range map[string][2]string{
		"CREATE UNIQUE INDEX x ON people (ssn)":                                                                     {"DROP INDEX x", "unique index x"},
		"CREATE UNIQUE INDEX x ON people (lower(mail))":                                                             {"DROP INDEX x", "unique index x"},
		"CREATE TRIGGER x AFTER INSERT ON letters BEGIN UPDATE people SET age = 7; END":                             {"DROP TRIGGER x", "trigger x"},
		"CREATE TABLE x (m REFERENCES people (mail))":                                                               {"DROP TABLE x", "foreign key of x"},
		"ALTER TABLE people ADD COLUMN ssn_sealed BLOB":                                                             {"ALTER TABLE people DROP COLUMN ssn_sealed", "not made by seal"},
		"ALTER TABLE people ADD COLUMN y text CHECK (y <> mail)":                                                    {"ALTER TABLE people DROP COLUMN y", "drop that first"},
		"ALTER TABLE people ADD COLUMN y AS (mail || 'y')":                                                          {"ALTER TABLE people DROP COLUMN y", "drop that first"},
		"ALTER TABLE letters RENAME TO old; CREATE TABLE letters (mail text PRIMARY KEY)":                           {"DROP TABLE letters; ALTER TABLE old RENAME TO letters", "primary key"},
		"ALTER TABLE letters RENAME TO old; CREATE TABLE letters (mail text UNIQUE COLLATE nocase)":                 {"DROP TABLE letters; ALTER TABLE old RENAME TO letters", "collation"},
		"ALTER TABLE letters RENAME TO old; CREATE TABLE letters (mail REFERENCES people (mail) ON UPDATE CASCADE)": {"DROP TABLE letters; ALTER TABLE old RENAME TO letters", "NO ACTION"},
	} {
		mustExec(t, w.admin, statement)
		dump := w.dump(t)
		r, err := migrate.Seal(t.Context(), db, liteSeal)
		if !errors.Is(err, migrate.ErrProblems) || !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, undo[1]) }) {
			t.Errorf("%s: %q, %v", statement, r.Problems, err)
		}
		if got := w.dump(t); got != dump {
			t.Errorf("%s: something was changed:\n%s", statement, diff(dump, got))
		}
		mustExec(t, w.admin, undo[0])
	}
	want, dump := w.rows(t), w.dump(t)
	for statement, undo := range map[string]string{
		"UPDATE people SET ssn = x'01' WHERE id = 3":   "UPDATE people SET ssn = 'canary000001' WHERE id = 3",
		"UPDATE people SET age = 'old' WHERE id = 3":   "UPDATE people SET age = 1 WHERE id = 3",
		"UPDATE people SET age = 201 WHERE id = 3":     "UPDATE people SET age = 1 WHERE id = 3",
		"UPDATE plain SET secret = 'no' WHERE rowid=1": "UPDATE plain SET secret = 1.5 WHERE rowid=1",
	} {
		mustExec(t, w.admin, statement)
		if r, err := migrate.Seal(t.Context(), db, liteSeal); !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 1 || r.Sealed != 0 {
			t.Errorf("%s: %+v, %v", statement, r, err)
		}
		mustExec(t, w.admin, undo)
	}
	w.isAsBefore(t, dump, want)
}

// What is done to the tables while they are sealed is there in the end, and columns go one by one.
func TestSQLiteChangedMeanwhile(t *testing.T) {
	w := newLiteWorld(t, "wal")
	w.fill(t, 50)
	db, dump := w.open(t, schema.StageCopy), w.dump(t)
	do := func(work func(context.Context, *sql.DB, migrate.Options) (migrate.Report, error), opts migrate.Options, columns ...string) error {
		t.Helper()
		opts.Columns = columns
		r, err := work(t.Context(), db, opts)
		if err != nil {
			t.Logf("%v: %q", err, r.Problems)
		}
		return err
	}
	if err := errors.Join(do(migrate.Seal, liteSeal, "people.age", "plain"), do(migrate.Seal, liteSeal, "people", "letters")); err != nil {
		t.Fatal(err)
	}
	mustExec(t, w.admin, "ALTER TABLE people ADD COLUMN more text DEFAULT 'm'")
	mustExec(t, w.admin, "CREATE INDEX more ON people (more, age_sealed)")
	if err := do(migrate.Unseal, liteUnseal, "people.age"); !errors.Is(err, migrate.ErrProblems) { // an index of both was changed since
		t.Errorf("the column that was sealed first is unsealed first: %v", err)
	}
	if err := do(migrate.Unseal, liteUnseal); err != nil {
		t.Fatal(err)
	}
	if got := all(t, w.admin, "SELECT sql FROM sqlite_master WHERE name = 'more'"); !slices.Equal(got, []string{`CREATE INDEX more ON people (more, "age")`}) {
		t.Errorf("an index of companions is %q", got)
	}
	mustExec(t, w.admin, "DROP INDEX more")
	mustExec(t, w.admin, "ALTER TABLE people DROP COLUMN more")
	if got := w.dump(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}

	drop := liteSeal
	drop.Drop = true
	want := w.rows(t)
	if err := do(migrate.Seal, drop); !errors.Is(err, migrate.ErrProblems) || w.dump(t) != dump {
		t.Errorf("a view depends on the column: %v", err)
	}
	mustExec(t, w.admin, "DROP VIEW adults")
	if err := do(migrate.Seal, drop); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.ExecContext(t.Context(), "SELECT mail FROM people"); err == nil {
		t.Error("the plain column is there")
	}
	rows, err := lines(w.open(t, schema.StageOnly).QueryContext(t.Context(), "SELECT ssn, id FROM people WHERE mail = 'm7@x'"))(2)
	if err != nil || !slices.Equal(rows, []string{"canary000007 21"}) {
		t.Errorf("%v, %v", rows, err)
	}
	if err := do(migrate.Unseal, liteUnseal); err != nil {
		t.Fatal(err)
	}
	if rows := w.rows(t); !slices.Equal(rows, want) {
		t.Errorf("the rows differ in the end:\n%s", diff(strings.Join(want, "\n"), strings.Join(rows, "\n")))
	}
}

// Each row is sealed in its scope.
func TestSQLiteScopes(t *testing.T) {
	w := newLiteWorld(t, "wal")
	w.fill(t, 20)
	want := w.rows(t)
	db := w.open(t, schema.StageCopy)
	opts := liteSeal
	opts.ScopeColumn, opts.Columns = "note", []string{"people.ssn"}
	if _, err := migrate.Seal(t.Context(), db, opts); err != nil {
		t.Fatal(err)
	}
	if n := all(t, w.admin, "SELECT CAST(count(DISTINCT scope) AS text) FROM colseal_keys WHERE scope LIKE 'n%'")[0]; n != "19" {
		t.Errorf("%s scopes have keys", n)
	}
	if _, err := migrate.Unseal(t.Context(), db, liteUnseal); err != nil {
		t.Fatal(err)
	}
	if rows := w.rows(t); !slices.Equal(rows, want) {
		t.Errorf("the rows differ in the end:\n%s", diff(strings.Join(want, "\n"), strings.Join(rows, "\n")))
	}
}
