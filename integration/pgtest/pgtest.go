// Package pgtest gives tests a real PostgreSQL: one server per test package and version, one
// database per test, and nothing left behind, however the tests end.
//
// A package that uses it says so once,
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// and a test that needs a server is
//
//	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) { … db.DSN() … })
//
// Servers are found by a ladder, each rung tried when the one before cannot serve:
//
//  1. the server that COLSEAL_TEST_DSN names; its user must be allowed to create databases;
//  2. a container of the image that COLSEAL_TEST_PG15_IMAGE or COLSEAL_TEST_PG17_IMAGE names, by
//     default `postgres:15` and `postgres:17`, or what .ci/images has made;
//  3. a throw-away cluster made with the PostgreSQL programs of this machine;
//  4. none: the tests skip, and a closing line says loudly what did not run.
//
// With CI=true anything but containers of both versions fails. With -short no server is ever
// started.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// DB is one test's own database on one server. Its methods are safe for concurrent use.
type DB struct {
	Version int     // the server's major version
	Name    string  // the database's name
	Admin   *sql.DB // a superuser's pool on the database, over plain pgx; closed when the test ends
	dsn     string
	server  *server
}

// DSN is the address of the database, for pgx and every driver over it, with a superuser's name.
func (d *DB) DSN() string { return d.dsn }

// Twin makes another database on the same server.
func Twin(tb testing.TB, d *DB, opts ...Option) *DB {
	tb.Helper()
	return d.server.newDB(tb, opts)
}

// Pooled returns an address of the database behind a PgBouncer that pools transactions: pool
// connections to the server serve all clients. Without a program pgbouncer on the machine the test
// is skipped, or fails in CI.
func (d *DB) Pooled(tb testing.TB, pool int) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	address, err := startBouncer(ctx, d.server, pool)
	if err == nil {
		address, err = withDatabase(address, d.Name)
	}
	switch {
	case err == nil:
		return address
	case inCI():
		tb.Fatalf("pgtest: PgBouncer: %v", err)
	}
	sayLoudly(fmt.Sprintf("\n*** %s DID NOT RUN: %v ***\n", tb.Name(), err))
	tb.Skipf("pgtest: PgBouncer: %v", err)
	return ""
}

// Option changes what Each and New make.
type Option func(*options)

type options struct{ logged bool }

// Logged has the server write every statement on the database to its log, with every parameter in
// full.
func Logged() Option { return func(o *options) { o.logged = true } }

// Each runs f as a subtest once per server version, each time with a new database. The database is
// dropped when the subtest ends.
func Each(t *testing.T, f func(t *testing.T, db *DB), opts ...Option) {
	t.Helper()
	each(t, servers(t), f, opts)
}

func each(t *testing.T, servers []*server, f func(t *testing.T, db *DB), opts []Option) {
	t.Helper()
	for _, s := range servers {
		t.Run(fmt.Sprintf("postgres%d", s.version), func(t *testing.T) {
			f(t, s.newDB(t, opts))
		})
	}
}

// all has Newest be Each.
var all = flag.Bool("pgtest.all", false, "run on each server also what takes long and hangs little on the version")

// Newest is Each on the newest server alone. It is for tests that take long, and of which little
// hangs on the version.
func Newest(t *testing.T, f func(t *testing.T, db *DB), opts ...Option) {
	t.Helper()
	of := servers(t)
	if !*all {
		of = of[len(of)-1:]
	}
	each(t, of, f, opts)
}

// New makes a database on the newest server there is, for benchmarks and for tests that do not hang
// on the version.
func New(tb testing.TB, opts ...Option) *DB {
	tb.Helper()
	all := servers(tb)
	return all[len(all)-1].newDB(tb, opts)
}

// servers returns the running servers, oldest first, and skips or fails the test when there are
// none.
func servers(tb testing.TB) []*server {
	tb.Helper()
	if testing.Short() {
		tb.Skip("pgtest: -short: no PostgreSQL server is started")
	}
	fleet, err := startFleet()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	if len(fleet) == 0 {
		tb.Skip("pgtest: no PostgreSQL server to be had: " + strings.Join(absent(), "; "))
	}
	return fleet
}

// server is one running PostgreSQL.
type server struct {
	version int     // major
	how     string  // which rung it came from, for people
	dsn     string  // a superuser's, to the database "postgres" or the one that was named
	admin   *sql.DB // over dsn
	ward    ward    // what the janitor removes; zero for a server that was named
}

// openServer connects to dsn and asks who is there. It closes what it opened when that fails.
func openServer(ctx context.Context, dsn, how string) (*server, error) {
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	s := &server{how: how, dsn: dsn, admin: admin}
	var number int
	if err := admin.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number); err != nil {
		admin.Close()
		return nil, err
	}
	s.version = number / 10000
	return s, nil
}

// probe is openServer for a server that may not be up yet. The limit is not the DSN's, where it
// would hold for the tests too.
func probe(ctx context.Context, dsn, how string) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return openServer(ctx, dsn, how)
}

func (s *server) newDB(tb testing.TB, opts []Option) *DB {
	tb.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := databaseName(tb.Name())
	quoted := pgx.Identifier{name}.Sanitize()
	statements := []string{"CREATE DATABASE " + quoted + " TEMPLATE template0"}
	if o.logged {
		statements = append(statements,
			"ALTER DATABASE "+quoted+" SET log_statement = 'all'",
			"ALTER DATABASE "+quoted+" SET log_parameter_max_length = -1",
			"ALTER DATABASE "+quoted+" SET log_parameter_max_length_on_error = -1")
	}
	for _, statement := range statements {
		if _, err := s.admin.ExecContext(ctx, statement); err != nil {
			tb.Fatalf("pgtest: %s on %s: %v", statement, s.how, err)
		}
	}
	tb.Cleanup(func() { s.drop(tb, quoted) })

	dsn, err := withDatabase(s.dsn, name)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() { admin.Close() })
	return &DB{Version: s.version, Name: name, Admin: admin, dsn: dsn, server: s}
}

func (s *server) drop(tb testing.TB, quoted string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)"); err != nil {
		tb.Errorf("pgtest: the test's database stays behind: %v", err)
	}
}

// databaseName makes a name that tells the test, is unique, and fits PostgreSQL's 63 bytes.
func databaseName(test string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(test))
	if len(clean) > 40 {
		clean = clean[:40]
	}
	return "t_" + clean + "_" + randomHex(5)
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// withDatabase returns dsn, an URL or a list of key=value, with the database replaced.
func withDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil // the later of two equal keys holds
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("COLSEAL_TEST_DSN is no URL that can be read") // its text may hold a password
	}
	u.Path = "/" + name
	return u.String(), nil
}

// IDs returns the ids of a query, sorted.
func IDs(rows *sql.Rows, err error) (out []int64, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	slices.Sort(out)
	return out, rows.Err()
}
