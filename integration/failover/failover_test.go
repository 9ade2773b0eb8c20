package failover

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// How often, if not as often as the gate does it.
var (
	rounds   = flag.Int("failover.rounds", 2, "failovers in TestFailover")
	crashes  = flag.Int("failover.crashes", 2, "crashes in TestCrashUnderAsynchronousCommit")
	restores = flag.Int("failover.restores", 1, "restores in TestRestoreBesidePrograms")
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var letters = schema.Must(schema.Columns("letters",
	schema.Column{Name: "sender", Mode: schema.ModeDeterministic}, schema.Column{Name: "body", Inbox: true}))

// pair is two servers in one container, one of which is the primary.
type pair struct {
	c       testcontainers.Container
	ports   [2]int // as seen from here
	primary int
}

func start(t *testing.T) *pair { return startOn(t, "17") }

// startOn starts the servers of a version.
func startOn(t *testing.T, version string) *pair {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no PostgreSQL server is started")
	}
	image := os.Getenv("COLSEAL_TEST_PG" + version + "_IMAGE")
	if image == "" {
		image = "colseal-test/postgres:" + version
	}
	c, err := testcontainers.GenericContainer(t.Context(), testcontainers.GenericContainerRequest{Started: true,
		ContainerRequest: testcontainers.ContainerRequest{
			Image: image, User: "postgres", Entrypoint: []string{"sleep", "3600"}, // it ends by itself if the tests are killed
			ExposedPorts: []string{"5433/tcp", "5434/tcp"}, Tmpfs: map[string]string{"/data": "rw,mode=1777"},
			HostConfigModifier: func(h *container.HostConfig) { h.AutoRemove = true },
		}})
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	if err != nil {
		if ci, _ := strconv.ParseBool(os.Getenv("CI")); ci {
			t.Fatal(err)
		}
		t.Skipf("*** FAILOVER WAS NOT TESTED: no container of %s: %v ***", image, err)
	}
	p := &pair{c: c}
	for i, port := range []string{"5433/tcp", "5434/tcp"} {
		mapped, err := c.MappedPort(t.Context(), port)
		if err != nil {
			t.Fatal(err)
		}
		p.ports[i], _ = strconv.Atoi(mapped.Port())
	}
	p.run(t, `initdb --no-sync -U postgres -A trust -D /data/0 >/dev/null
		echo "host all all all trust
host replication all all trust" >> /data/0/pg_hba.conf
		printf "listen_addresses='*'\nfsync=off\nsynchronous_commit=off\nwal_level=logical\nunix_socket_directories='/tmp'\n" >> /data/0/postgresql.conf`)
	p.up(t, 0)
	return p
}

// run runs a shell script in the container.
func (p *pair) run(t *testing.T, script string) { _ = p.output(t, script) }

// output is run, and returns what the script printed.
func (p *pair) output(t *testing.T, script string) string {
	t.Helper()
	code, out, err := p.c.Exec(context.WithoutCancel(t.Context()), []string{"bash", "-ec", "PATH=$(echo /usr/lib/postgresql/*/bin):$PATH\n" + script}, exec.Multiplexed())
	text := ""
	if out != nil {
		b, _ := io.ReadAll(out)
		text = string(b)
	}
	if err != nil || code != 0 {
		t.Fatalf("%s: %d, %v\n%s", script, code, err, text)
	}
	return text
}

func (p *pair) up(t *testing.T, i int) {
	p.run(t, fmt.Sprintf("pg_ctl -D /data/%d -o '-p %d' -l /data/log%d -w start >/dev/null", i, 5433+i, i))
}

// replica makes the other server a standby of the primary.
func (p *pair) replica(t *testing.T) {
	p.run(t, fmt.Sprintf("rm -rf /data/%[1]d; pg_basebackup -h /tmp -p %[2]d -U postgres -D /data/%[1]d -R -c fast --no-sync", 1-p.primary, 5433+p.primary))
	p.up(t, 1-p.primary)
}

// psql runs a statement on a server.
func (p *pair) psql(t *testing.T, i int, query string) {
	p.run(t, fmt.Sprintf("psql -h /tmp -p %d -U postgres -v ON_ERROR_STOP=1 -qXc \"%s\"", 5433+i, query))
}

// await waits until a query on a server is true, for a minute at most.
func (p *pair) await(t *testing.T, i int, query string) {
	p.run(t, fmt.Sprintf(`for n in $(seq 600); do
		[ "$(psql -h /tmp -p %d -U postgres -v ON_ERROR_STOP=1 -qXAtc "%s")" = t ] && exit 0
		sleep 0.1
	done; exit 1`, 5433+i, query))
}

func (p *pair) dsn() string {
	return fmt.Sprintf("host=localhost,localhost port=%d,%d user=postgres dbname=postgres sslmode=disable connect_timeout=10 target_session_attrs=read-write", p.ports[0], p.ports[1])
}

// open is a program that has just started.
func (p *pair) open(t *testing.T, kek string, keys keycache.Config) *sql.DB {
	t.Helper()
	w, err := kms.Open(t.Context(), "localkms://"+kek)
	if err != nil {
		t.Fatal(err)
	}
	return p.openAs(t, driver.Config{KMS: w, Keys: keys, AutoCreateKeyTable: true})
}

func (p *pair) openAs(t *testing.T, config driver.Config) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	if config.Schema == nil {
		config.Schema = letters
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// scopes names as many scopes as are in use at a moment; new ones come all the time.
func scope(i int64) string { return fmt.Sprint("tenant:", i/20) }

// load writes until stop is called, which returns how often which error came. What fails is nobody's: the server was away.
func load(ctx context.Context, db *sql.DB, next, acknowledged *atomic.Int64) (stop func() map[string]int) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := map[string]int{}
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1)
				_, err := db.ExecContext(keyring.WithScope(ctx, scope(i)),
					"INSERT INTO letters (id, scope, sender, body) VALUES ($1, $2, 'ann', $3)", i, scope(i), fmt.Sprint("letter ", i))
				if err == nil {
					acknowledged.Add(1)
					continue
				}
				mu.Lock()
				failed[err.Error()]++
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return func() map[string]int { cancel(); wg.Wait(); return failed }
}

// check reads every row as a program that has just started. On a machine that is busy the server may need longer to answer
// than the keyring waits: then it begins again.
func (p *pair) check(t *testing.T, kek string) int {
	t.Helper()
	for tries := 1; ; tries++ {
		n, err := p.read(t, kek)
		if err == nil {
			return n
		}
		if errors.Is(err, driver.ErrRefused) || errors.As(err, new(*driver.CellError)) && !errors.Is(err, driver.ErrKeyUnavailable) || tries == 20 {
			t.Fatalf("after %d rows: %v", n, err)
		}
		time.Sleep(time.Second)
	}
}

func (p *pair) read(t *testing.T, kek string) (n int, err error) {
	t.Helper()
	db := p.open(t, kek, keycache.Config{})
	defer func() { _ = db.Close() }()
	rows, err := db.Query("SELECT id, sender, body FROM letters ORDER BY id")
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var sender, body string
		if err := rows.Scan(&id, &sender, &body); err != nil {
			return n, err
		}
		if sender != "ann" || body != fmt.Sprint("letter ", id) {
			t.Fatalf("letter %d reads %q from %q", id, body, sender)
		}
		n++
	}
	return n, rows.Err()
}

// more waits until a number has grown by n, or for five minutes.
func more(number *atomic.Int64, n int64) {
	was, began := number.Load(), time.Now()
	for number.Load() < was+n && time.Since(began) < 5*time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
}

// TestFailover: the primary is killed under load, with commits of the keyring's that the standby has not got, and the
// standby is promoted. Every row that is there opens, for another program too.
//
//	go test ./failover -run TestFailover -v -failover.rounds=50
func TestFailover(t *testing.T) {
	p, kek := start(t), filepath.Join(t.TempDir(), "kek.json")
	p.psql(t, p.primary, "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)")
	db := p.open(t, kek, keycache.Config{MaxAge: 5 * time.Second})
	var next, acknowledged atomic.Int64
	for round := range *rounds {
		p.replica(t)
		before := recovered(db)
		stop := load(t.Context(), db, &next, &acknowledged)
		more(&acknowledged, 100)
		p.psql(t, 1-p.primary, "ALTER SYSTEM SET primary_conninfo = ''")
		p.psql(t, 1-p.primary, "SELECT pg_reload_conf()")
		p.await(t, 1-p.primary, "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
		more(&acknowledged, 100) // under keys that the standby does not get
		p.run(t, fmt.Sprintf("pg_ctl -D /data/%d -m immediate stop >/dev/null", p.primary))
		p.primary = 1 - p.primary
		p.run(t, fmt.Sprintf("pg_ctl -D /data/%d -w promote >/dev/null", p.primary))
		was, promoted := acknowledged.Load(), time.Now()
		more(&acknowledged, 100)
		failed := stop()
		took := time.Since(promoted)
		written, again := acknowledged.Load()-was, recovered(db)-before
		n := p.check(t, kek)
		t.Logf("round %d: %d rows on the new primary, %d of them acknowledged by it within %v; %d keys stored again", round+1, n, written, took.Round(time.Millisecond), again)
		if written < 100 || again == 0 {
			t.Errorf("round %d shows nothing: %d rows were acknowledged by the new primary, %d keys stored again; what failed: %v", round+1, written, again, failed)
		}
		if t.Failed() {
			return
		}
	}
}

// TestRestoreBesidePrograms: the database is set back to an earlier time while programs run.
//
//	go test ./failover -run TestRestoreBesidePrograms -v -failover.restores=20
func TestRestoreBesidePrograms(t *testing.T) {
	p, kek := start(t), filepath.Join(t.TempDir(), "kek.json")
	p.psql(t, 0, "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)")
	db := p.open(t, kek, keycache.Config{MaxAge: 5 * time.Second})
	var next, acknowledged atomic.Int64
	for round := range *restores {
		before := recovered(db)
		stop := load(t.Context(), db, &next, &acknowledged)
		more(&acknowledged, 100)
		p.run(t, "pg_basebackup -h /tmp -p 5433 -U postgres -D /data/backup -c fast --no-sync")
		more(&acknowledged, 100) // under keys that the backup does not have
		p.run(t, "pg_ctl -D /data/0 -m immediate stop >/dev/null; rm -rf /data/0; mv /data/backup /data/0")
		p.up(t, 0)
		was := acknowledged.Load()
		more(&acknowledged, 100)
		failed := stop()
		written, again := acknowledged.Load()-was, recovered(db)-before
		n := p.check(t, kek)
		t.Logf("round %d: %d rows, %d of them acknowledged since the restore; %d keys stored again", round+1, n, written, again)
		if written < 100 || again == 0 {
			t.Fatalf("round %d shows nothing; what failed: %v", round+1, failed)
		}
	}
}

// TestCrashUnderAsynchronousCommit: keys are on disk before the first cell, whatever the server's default.
//
//	go test ./failover -run TestCrashUnderAsynchronousCommit -v -failover.crashes=50
func TestCrashUnderAsynchronousCommit(t *testing.T) {
	p, kek := start(t), filepath.Join(t.TempDir(), "kek.json")
	p.run(t, "printf \"synchronous_commit=off\nwal_writer_delay=10s\nwal_writer_flush_after=0\n\" >> /data/0/postgresql.conf; pg_ctl -D /data/0 -w restart -o '-p 5433' -l /data/log0 >/dev/null")
	p.psql(t, 0, "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)")
	p.psql(t, 0, "CHECKPOINT")
	for round := range *crashes {
		db := p.open(t, kek, keycache.Config{})
		ctx := keyring.WithScope(t.Context(), fmt.Sprint("round:", round))
		for i := range 3 {
			if _, err := db.ExecContext(ctx, "INSERT INTO letters (id, scope, sender, body) VALUES ($1, 'x', 'ann', $2)",
				round*10+i, fmt.Sprint("letter ", round*10+i)); err != nil {
				t.Fatal(err)
			}
		}
		var before, after int
		count := "SELECT count(*) FROM colseal_keys"
		if err := db.QueryRow(count).Scan(&before); err != nil {
			t.Fatal(err)
		}
		p.run(t, "pg_ctl -D /data/0 -m immediate stop >/dev/null")
		p.up(t, 0)
		other := p.open(t, kek, keycache.Config{})
		if err := other.QueryRow(count).Scan(&after); err != nil || after != before {
			t.Errorf("round %d: %d keys before the crash, %d after it, %v", round, before, after, err)
		}
		t.Logf("round %d: %d keys before and after, %d rows", round, after, p.check(t, kek))
	}
}

// TestLockedKeyring: somebody locks the keyring's table, for far longer than MaxAge. Warm keys go on.
func TestLockedKeyring(t *testing.T) {
	p, kek := start(t), filepath.Join(t.TempDir(), "kek.json")
	p.psql(t, 0, "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)")
	// The first block of seals, 4096, is spent within the lock.
	db := p.open(t, kek, keycache.Config{MaxAge: time.Second})
	ctx := t.Context()
	var done int
	work := func() (took time.Duration, failed error) {
		began := time.Now()
		_, write := db.ExecContext(ctx, "INSERT INTO letters (id, scope, sender, body) SELECT $1, '', 'ann', $2", done, fmt.Sprint("letter ", done))
		_, bulk := db.ExecContext(ctx, "INSERT INTO letters (id, scope, body) VALUES "+strings.TrimSuffix(strings.Repeat("(-nextval('n'), '', 'x'),", 50), ","))
		var n int
		read := db.QueryRowContext(ctx, "SELECT count(*) FROM letters WHERE sender = 'ann' AND id >= 0").Scan(&n)
		var body string
		open := db.QueryRowContext(ctx, "SELECT body FROM letters WHERE id = $1", done).Scan(&body)
		done++
		if n != done {
			read = errors.Join(read, fmt.Errorf("%d of %d are found", n, done))
		}
		return time.Since(began), errors.Join(write, bulk, read, open)
	}
	p.psql(t, 0, "CREATE SEQUENCE n")
	if _, err := work(); err != nil {
		t.Fatal(err)
	}
	lock, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	tx, err := lock.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE colseal_keys"); err != nil {
		t.Fatal(err)
	}
	var failed int
	var worst time.Duration
	for until := time.Now().Add(*locked); time.Now().Before(until); {
		took, err := work()
		if err != nil {
			if failed++; failed < 4 {
				t.Error(err)
			}
		}
		worst = max(worst, took)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds of 4 statements and 51 cells in %v under the lock: %d failed, the worst took %v", done, *locked, failed, worst)
	if failed > 0 || done < 20 || worst > 3*time.Second {
		t.Errorf("%d of %d failed, the worst took %v", failed, done, worst)
	}
	if _, err := work(); err != nil {
		t.Error(err)
	}
}

var locked = flag.Duration("failover.locked", 5*time.Second, "how long TestLockedKeyring holds the lock")

// recovered is how many keys a program has stored again.
func recovered(db *sql.DB) uint64 {
	stats, _ := driver.Stats(context.Background(), db)
	return stats.Recovered
}
