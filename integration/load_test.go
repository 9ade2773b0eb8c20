package integration

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

const (
	loadBatch     = 500
	loadLongNotes = 50
)

// TestLoad writes 100,000 customers through database/sql, sqlx, GORM and COPY, looks for their values on the server's
// side, and reads all of them back through three APIs, value by value like a plaintext twin.
func TestLoad(t *testing.T) {
	n, long := 100_000, loadLongNotes
	if raceEnabled {
		n, long = 5_000, 5
		t.Logf("race detector on: %d customers instead of 100,000", n)
	}
	// A seed of its own for every run: what a former run left in the server's files is not found for this one's.
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var rows []customer // made when there is a server
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		if rows == nil {
			rows = makeCustomers(seed, n, long)
		}
		mustExec(t, pg.Admin, customerDDL)
		srv := newKMS(t)
		open := func() *sql.DB {
			return openSealed(t, pg.DSN(), pgx.QueryExecModeCacheStatement, driver.Config{
				Schema: schema.Must(schema.Model("", customer{})), KMS: awskms.New(srv.Client(t), alias), AutoCreateKeyTable: true})
		}
		watch := stopwatch(t)

		db := open()
		canaries := writeLoad(t, db, rows)
		watch("written")
		searchLoad(t, db, rows)
		watch("searched")
		checkKMSCalls(t, srv)
		wiretap.Check(t, pg.Admin, canaries...)
		watch("wiretapped")
		_ = db.Close()

		twin := writeTwin(t, pg, rows)
		watch("twin written")
		srv.Reset()
		readLoad(t, open(), twin) // what a new process has in memory of keys: nothing
		watch("read three times")
		checkKMSCalls(t, srv)
	}, pgtest.Logged())
}

func stopwatch(t *testing.T) func(what string) {
	last := time.Now()
	return func(what string) {
		now := time.Now()
		t.Logf("%s: %v", what, now.Sub(last).Round(10*time.Millisecond))
		last = now
	}
}

// checkKMSCalls holds one process to at most two calls per purpose of keys.
func checkKMSCalls(t *testing.T, srv *kmstest.Server) {
	t.Helper()
	calls := map[string]int{}
	for _, e := range srv.Events() {
		calls[e.EncryptionContext["colseal:purpose"]]++
	}
	t.Logf("KMS calls: %v", calls)
	if len(calls) != 2 || calls["data"] == 0 || calls["search"] == 0 {
		t.Errorf("KMS calls for the purposes %v, want data and search", calls)
	}
	for purpose, n := range calls {
		if n > 2 {
			t.Errorf("%d KMS calls for keys of purpose %s, want at most 2", n, purpose)
		}
	}
	if all := srv.Calls(); all != calls["data"]+calls["search"] {
		t.Errorf("%d KMS calls, of which the audit shows %v", all, calls)
	}
}

// writer is one way to write customers.
type writer struct {
	name  string
	write func(ctx context.Context, db *sql.DB, rows []customer) error
}

var writers = []writer{
	{"database/sql", writeSQL}, {"sqlx", writeSQLX}, {"GORM", writeGORM}, {"COPY", writeCopy},
}

// writeLoad writes a share of the rows by each writer and returns canaries of every column from each.
func writeLoad(t *testing.T, db *sql.DB, rows []customer) (canaries []wiretap.Canary) {
	t.Helper()
	share := (len(rows) + len(writers) - 1) / len(writers)
	i := 0
	for part := range slices.Chunk(rows, share) {
		w := writers[i]
		if err := w.write(t.Context(), db, part); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		canaries = append(canaries, canariesOf(w.name, part)...)
		i++
	}
	t.Logf("%d canaries", len(canaries))
	return canaries
}

func writeSQL(ctx context.Context, db *sql.DB, rows []customer) error {
	for batch := range slices.Chunk(rows, loadBatch) {
		var args []any
		for i := range batch {
			args = append(args, batch[i].fields()...)
		}
		if _, err := db.ExecContext(ctx, insertRows("customers", len(batch)), args...); err != nil {
			return err
		}
	}
	return nil
}

// insertRows is an INSERT of n rows into all columns.
func insertRows(table string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", table, strings.Join(customerColumns, ", "))
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		for j := range customerColumns {
			b.WriteString([]string{"(", ", "}[min(j, 1)] + "$" + strconv.Itoa(i*len(customerColumns)+j+1))
		}
		b.WriteString(")")
	}
	return b.String()
}

func writeSQLX(ctx context.Context, db *sql.DB, rows []customer) error {
	x := sqlx.NewDb(db, "pgx")
	insert := fmt.Sprintf("INSERT INTO customers (%s) VALUES (:%s)", strings.Join(customerColumns, ", "), strings.Join(customerColumns, ", :"))
	for batch := range slices.Chunk(rows, loadBatch) {
		if _, err := x.NamedExecContext(ctx, insert, batch); err != nil {
			return err
		}
	}
	return nil
}

func writeGORM(ctx context.Context, db *sql.DB, rows []customer) error {
	g, err := openGORM(db)
	if err != nil {
		return err
	}
	return g.WithContext(ctx).CreateInBatches(rows, loadBatch).Error
}

func openGORM(db *sql.DB) (*gorm.DB, error) {
	return gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{Logger: logger.Discard})
}

func writeCopy(ctx context.Context, db *sql.DB, rows []customer) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var values [][]any
	for i := range rows {
		values = append(values, rows[i].fields())
	}
	n, err := driver.CopyFrom(ctx, conn, "customers", customerColumns, values)
	if err == nil && n != int64(len(rows)) {
		err = fmt.Errorf("%d rows copied of %d", n, len(rows))
	}
	return err
}

// canariesPer is how many values of each column and writer are looked for.
const canariesPer = 8

// canariesOf takes canaries of every sealed column, spread over the rows.
func canariesOf(writer string, rows []customer) (canaries []wiretap.Canary) {
	taken := map[string]int{}
	take := func(column string, usable bool, make func(name string) wiretap.Canary) {
		if usable && taken[column] < canariesPer {
			taken[column]++
			canaries = append(canaries, make(fmt.Sprintf("%s.%s %d", writer, column, taken[column])))
		}
	}
	text := func(column string, v *string) {
		take(column, v != nil && len(*v) >= 12 && !strings.ContainsAny(*v, `'"\`), func(name string) wiretap.Canary { return wiretap.Text(name, *v) })
	}
	step := max(1, len(rows)/50)
	for i := 0; i < len(rows); i += step {
		c := &rows[i]
		text("name", &c.Name)
		text("email", c.Email)
		text("iban", c.IBAN)
		text("phone", c.Phone)
		text("note", &c.Note)
		if c.Profile != nil {
			text("profile", &c.Profile.Token)
		}
		take("born", c.Born != nil, func(name string) wiretap.Canary { return wiretap.Time(name, *c.Born) })
	}
	for i := range rows { // and a long note
		if len(rows[i].Note) >= 60<<10 && !strings.ContainsAny(rows[i].Note, `'"\`) {
			return append(canaries, wiretap.Text(writer+".long note", rows[i].Note))
		}
	}
	return canaries
}

// searchLoad finds customers by sealed values, so that searching shows none either.
func searchLoad(t *testing.T, db *sql.DB, rows []customer) {
	t.Helper()
	for i := 0; i < len(rows); i += len(rows) / 100 {
		c := &rows[i]
		if c.Email == nil || *c.Email == "" {
			continue
		}
		if id := scanOne[int64](t, db, "SELECT id FROM customers WHERE email = $1", *c.Email); id != c.ID {
			t.Fatalf("customer %d was found by the e-mail of %d", id, c.ID)
		}
		literal := "SELECT id FROM customers WHERE email IN ('" + *c.Email + "')"
		if id := scanOne[int64](t, db, literal); id != c.ID {
			t.Fatalf("customer %d was found by the e-mail of %d", id, c.ID)
		}
	}
}

// writeTwin writes the rows as plaintext by pgx alone and returns what PostgreSQL returns of them.
func writeTwin(t *testing.T, pg *pgtest.DB, rows []customer) []customer {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, twinDDL); err != nil {
		t.Fatal(err)
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"twin"}, customerColumns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		return rows[i].fields(), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	twin, err := readSQL(ctx, pg.Admin, "twin")
	if err != nil || len(twin) != len(rows) {
		t.Fatalf("%d rows of the twin, want %d: %v", len(twin), len(rows), err)
	}
	for i := range twin {
		if !sameCustomer(&twin[i], &rows[i]) {
			t.Fatalf("the twin of customer %d differs from what was written", rows[i].ID)
		}
	}
	return twin
}

// readLoad reads all customers by each API and compares them with the twin.
func readLoad(t *testing.T, db *sql.DB, twin []customer) {
	t.Helper()
	for _, reader := range []struct {
		name string
		read func(context.Context, *sql.DB, string) ([]customer, error)
	}{{"database/sql", readSQL}, {"sqlx", readSQLX}, {"GORM", readGORM}} {
		got, err := reader.read(t.Context(), db, "customers")
		if err != nil {
			t.Errorf("%s: %v", reader.name, err)
			continue
		}
		if len(got) != len(twin) {
			t.Errorf("%s: %d rows, want %d", reader.name, len(got), len(twin))
			continue
		}
		for i := range got {
			if !sameCustomer(&got[i], &twin[i]) {
				t.Fatalf("%s: customer %d differs: %+v, want %+v", reader.name, twin[i].ID, got[i], twin[i])
			}
		}
	}
}

// sameCustomer compares value by value; times as instants, since their zones depend on the session.
func sameCustomer(a, b *customer) bool {
	if (a.Born == nil) != (b.Born == nil) || a.Born != nil && !a.Born.Equal(*b.Born) {
		return false
	}
	x, y := *a, *b
	x.Born, y.Born = nil, nil
	return reflect.DeepEqual(x, y)
}

func readSQL(ctx context.Context, db *sql.DB, table string) (all []customer, err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(customerColumns, ", ")+" FROM "+table+" ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c customer
		if err := rows.Scan(c.pointers()...); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

func readSQLX(ctx context.Context, db *sql.DB, table string) (all []customer, err error) {
	err = sqlx.NewDb(db, "pgx").SelectContext(ctx, &all, "SELECT * FROM "+table+" ORDER BY id")
	return all, err
}

func readGORM(ctx context.Context, db *sql.DB, _ string) (all []customer, err error) {
	g, err := openGORM(db)
	if err != nil {
		return nil, err
	}
	err = g.WithContext(ctx).Order("id").Find(&all).Error
	return all, err
}
