package pooler

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var statements = flag.Int("pooler.n", 40, "statements of each of the 32 programs, in each mode and on each version of PostgreSQL")

const (
	clients = 32
	pool    = 4 // connections to the server, for all of them
	rows    = 8 // that each client begins with
)

const layout = `CREATE SCHEMA other;
CREATE TABLE users (id bigint PRIMARY KEY, owner bigint NOT NULL, email %[1]s, ssn %[1]s, score %[2]s, note text, n int NOT NULL DEFAULT 0);
CREATE TABLE other.users (id bigint PRIMARY KEY, owner bigint NOT NULL, email text)`

var tables = schema.Must(schema.Columns("public.users",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"},
	schema.Column{Name: "score", Kind: schema.KindInt, Mode: schema.ModeDeterministic}))

// The modes that work behind PgBouncer 1.18 with plain pgx: those that prepare nothing, and describe a statement in one round trip
// and send it whole in another.
var works = map[pgx.QueryExecMode]bool{
	pgx.QueryExecModeCacheDescribe: true, pgx.QueryExecModeExec: true, pgx.QueryExecModeSimpleProtocol: true,
}

// TestTransactionPooling has the programs run the same statements on a sealed database and on its plaintext twin, in every mode
// that works on the twin.
func TestTransactionPooling(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, sealed *pgtest.DB) {
		twin := pgtest.Twin(t, sealed)
		for db, types := range map[*pgtest.DB][]any{sealed: {"bytea", "bytea"}, twin: {"text", "bigint"}} {
			if _, err := db.Admin.Exec(fmt.Sprintf(layout, types...)); err != nil {
				t.Fatal(err)
			}
		}
		service, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		sealedDSN, twinDSN := sealed.Pooled(t, pool), twin.Pooled(t, pool)
		for mode := range works {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
				for _, db := range []*pgtest.DB{sealed, twin} {
					if _, err := db.Admin.Exec("TRUNCATE users, other.users"); err != nil {
						t.Fatal(err)
					}
				}
				seed := seed()
				began := time.Now()
				want := run(t, open(t, twinDSN, mode, nil), seed, *statements)
				plain := time.Since(began)
				began = time.Now()
				db := open(t, sealedDSN, mode, func(cfg *driver.Config) { cfg.KMS = service })
				got := run(t, db, seed, *statements)
				t.Logf("seed %d, %d statements: %v plain, %v sealed", seed, clients**statements, plain, time.Since(began))
				wrong := 0
				for i := range want {
					for j := range want[i] {
						if got[i][j] != want[i][j] {
							if wrong++; wrong <= 10 {
								t.Errorf("client %d, statement %d:\n%s\nthe twin:\n%s", i, j, got[i][j], want[i][j])
							}
						}
					}
				}
				if wrong > 0 {
					t.Errorf("%d of %d statements are wrong", wrong, clients**statements)
				}
				compare(t, sealed, twin, db)
			})
		}
	})
}

// TestModesThatWork holds which modes work with plain pgx, so that none is left out above.
func TestModesThatWork(t *testing.T) {
	server := pgtest.New(t)
	if _, err := server.Admin.Exec(fmt.Sprintf(layout, "text", "bigint")); err != nil {
		t.Fatal(err)
	}
	dsn := server.Pooled(t, pool)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec} {
		db := open(t, dsn, mode, nil)
		var mu sync.Mutex // guards failed
		var failed error
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				for j := range 200 {
					var text string
					var id int64
					err := db.QueryRow("SELECT $1::bigint, '"+strconv.Itoa(j%4)+"'", i).Scan(&id, &text)
					if err == nil && (id != int64(i) || text != strconv.Itoa(j%4)) {
						err = errors.New("another's answer")
					}
					mu.Lock()
					failed = errors.Join(failed, err)
					over := failed != nil
					mu.Unlock()
					if over {
						return
					}
				}
			})
		}
		wg.Wait()
		if failed == nil {
			t.Errorf("%s works with plain pgx: it is to be tested too", mode)
		}
	}
}

// open opens the database behind the pooler, by Colseal if cfg is not nil.
func open(t *testing.T, dsn string, mode pgx.QueryExecMode, configure func(*driver.Config)) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	cn := stdlib.GetConnector(*cfg)
	if configure != nil {
		c := driver.Config{Schema: tables, KeyTable: "public.colseal_keys", AutoCreateKeyTable: true}
		configure(&c)
		if cn, err = driver.NewConnector(cn, c); err != nil {
			t.Fatal(err)
		}
	}
	db := sql.OpenDB(cn)
	db.SetMaxIdleConns(clients)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func seed() uint64 {
	if s, err := strconv.ParseUint(os.Getenv("COLSEAL_SHAPES_SEED"), 10, 64); err == nil {
		return s
	}
	return uint64(time.Now().UnixNano())
}

// run runs all programs at once, and returns what each statement yields.
func run(t *testing.T, db *sql.DB, seed uint64, n int) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	out := make([][]string, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c := &client{Rand: rand.New(rand.NewPCG(seed, uint64(i))), id: i}
			for j := range rows {
				c.yields(ctx, db, "INSERT INTO users(id, owner, email, ssn, score) VALUES ($1, $2, $3, 's', 7)", c.row(j), i, c.email())
			}
			for range n {
				out[i] = append(out[i], c.step(ctx, db))
			}
		})
	}
	wg.Wait()
	return out
}

// client is a program. It touches rows of its own only, so that what it sees does not hang on the others.
type client struct {
	*rand.Rand
	id, made int
}

func (c *client) row(i int) int64 { return int64(c.id*1_000_000 + i) }

// some is one of the rows that there were.
func (c *client) some() int64 { return c.row(c.IntN(rows + c.made)) }

func (c *client) email() string { return fmt.Sprintf("e%d@x", c.IntN(5)) }

func (c *client) next() int64 {
	c.made++
	return c.row(rows + c.made - 1)
}

const all = "RETURNING id, email, ssn, score, note, n"

// step runs a statement, or a short transaction.
func (c *client) step(ctx context.Context, db *sql.DB) string {
	lit := c.IntN(4)
	switch c.IntN(16) {
	case 0, 1, 2:
		return c.yields(ctx, db, fmt.Sprintf("UPDATE users SET ssn='literal %d', n=n+1 WHERE id=$1", lit), c.some())
	case 3:
		return c.yields(ctx, db, fmt.Sprintf("UPDATE users SET ssn='literal %d', email=$2, note=$3 WHERE id=$1 %s", lit, all), c.some(), c.email(), c.email())
	case 4:
		return c.yields(ctx, db, fmt.Sprintf("UPDATE users SET score=%d, n=n+1 WHERE owner=$1 AND email=$2 RETURNING email, ssn", lit), c.id, c.email())
	case 5:
		return c.yields(ctx, db, "SELECT id, email, ssn, score, note, n FROM users WHERE email=$1 AND owner=$2 ORDER BY id", c.email(), c.id)
	case 6:
		return c.yields(ctx, db, fmt.Sprintf("SELECT email, count(*) FROM users WHERE owner=$1 AND email IN ('e0@x', $2, 'e%d@x') GROUP BY email ORDER BY count(*), min(id)", lit), c.id, c.email())
	case 7:
		return c.yields(ctx, db, "SELECT id, ssn FROM users WHERE email = ANY($2) AND owner=$1 ORDER BY id DESC", c.id, []string{c.email(), c.email()})
	case 8:
		return c.yields(ctx, db, fmt.Sprintf("INSERT INTO users(id, owner, email, ssn, score, note) VALUES ($1, $2, $3, 'inserted %d', $4, 'n') %s", lit, all), c.next(), c.id, c.email(), lit)
	case 9:
		return c.yields(ctx, db, fmt.Sprintf("INSERT INTO users(id, owner, email, ssn) VALUES ($1, $2, 'e%d@x', 'again') ON CONFLICT (id) DO UPDATE SET ssn='conflict %d', email=EXCLUDED.email, n=users.n+1 %s", lit, lit, all), c.some(), c.id)
	case 10:
		return c.yields(ctx, db, fmt.Sprintf("DELETE FROM users WHERE id=$1 AND email='e%d@x' RETURNING *", lit), c.some())
	case 11:
		return c.yields(ctx, db, fmt.Sprintf("UPDATE users SET ssn='text %d', n=n+1 WHERE id=%d RETURNING id, ssn, n", lit, c.some()))
	case 12: // two statements in one text
		_, err := db.ExecContext(ctx, fmt.Sprintf("UPDATE users SET ssn='first %d' WHERE id=%d; UPDATE users SET ssn='second', n=n+1 WHERE id=%d", lit, c.some(), c.some()))
		return fmt.Sprint(err)
	case 13:
		return c.transaction(ctx, db, "SET LOCAL search_path = other", "INSERT INTO users(id, owner, email) VALUES ($1, $2, $3)")
	case 14:
		return c.transaction(ctx, db, "CREATE TEMP TABLE users (id bigint, owner bigint, email text) ON COMMIT DROP", "INSERT INTO users(id, owner, email) VALUES ($1, $2, $3) RETURNING email")
	}
	return c.transaction(ctx, db, "SELECT 1", "INSERT INTO users(id, owner, email, ssn) VALUES ($1, $2, $3, 'tx') RETURNING ssn")
}

// transaction inserts a row in a transaction and reads it, and then commits or not.
func (c *client) transaction(ctx context.Context, db *sql.DB, first, insert string) string {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err.Error()
	}
	id := c.next()
	out := c.yields(ctx, tx, first) + c.yields(ctx, tx, insert, id, c.id, c.email()) +
		c.yields(ctx, tx, "SELECT email FROM users WHERE id = $1", id)
	if c.IntN(3) == 0 {
		err = tx.Rollback()
	} else {
		err = tx.Commit()
	}
	return out + fmt.Sprint(err)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// yields runs a query and returns its rows as text, or the error.
func (c *client) yields(ctx context.Context, db querier, query string, args ...any) string {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return query + ": " + err.Error()
	}
	defer rows.Close()
	out := scan(rows)
	if !strings.Contains(query, "ORDER BY") { // in the order in which the table has them, which hangs on the others
		lines := strings.Split(out, "\n")
		slices.Sort(lines)
		out = strings.Join(lines, "\n")
	}
	return query + "\n" + out
}

func scan(rows *sql.Rows) string {
	var out strings.Builder
	columns, err := rows.Columns()
	if err != nil {
		return err.Error()
	}
	values := make([]sql.NullString, len(columns))
	dest := make([]any, len(columns))
	for i := range dest {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err.Error()
		}
		fmt.Fprintln(&out, values)
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return out.String()
}

// compare looks at what the databases hold in the end: the same rows, and nothing but cells in the sealed columns.
func compare(t *testing.T, sealed, twin *pgtest.DB, db *sql.DB) {
	t.Helper()
	for _, query := range []string{"SELECT * FROM public.users ORDER BY id", "SELECT * FROM other.users ORDER BY id"} {
		var got [2]string
		for i, db := range []*sql.DB{db, twin.Admin} {
			rows, err := db.Query(query)
			if err != nil {
				t.Fatal(err)
			}
			got[i] = scan(rows)
			_ = rows.Close()
		}
		if got[0] != got[1] || got[0] == "" {
			t.Errorf("%s: the sealed database holds %d bytes of rows, the twin others (%d)", query, len(got[0]), len(got[1]))
		}
	}
	var plain int
	if err := sealed.Admin.QueryRow("SELECT count(*) FROM public.users WHERE get_byte(email, 0) <> 1 OR get_byte(ssn, 0) <> 1").Scan(&plain); err != nil || plain != 0 {
		t.Errorf("%d rows hold something else than cells: %v", plain, err)
	}
}
