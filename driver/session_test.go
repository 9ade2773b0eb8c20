package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/internal/sqlplan"
)

// catalogPlanner asks the catalog about users for every text but the exempt ones, and
// notes the search paths that it was asked with.
func (b *bench) catalogPlanner(plans map[string]*sqlplan.Plan) *[]string {
	var paths []string
	b.plans.onPlan = func(ctx context.Context, text string, env *sqlplan.Env) (*sqlplan.Plan, error) {
		p := plans[text]
		if p == nil {
			p = &sqlplan.Plan{}
		}
		if text == "free" || p.Effects != 0 {
			return p, nil
		}
		if _, err := env.Catalog.Relation(ctx, "", "users"); err != nil {
			return nil, err
		}
		paths = append(paths, env.SearchPath)
		return p, nil
	}
	return &paths
}

func TestCatalogIsReadLazilyAndOnce(t *testing.T) {
	b := newBench(t, "full")
	b.catalogPlanner(nil)
	exec := func(text string, sessions, relations int) {
		t.Helper()
		if _, err := b.db.Exec(text); err != nil {
			t.Fatal(err)
		}
		if b.server.sessions != sessions || b.server.relations != relations {
			t.Errorf("after %s: session read %d times, want %d; relation %d times, want %d",
				text, b.server.sessions, sessions, b.server.relations, relations)
		}
	}
	exec("free", 0, 0)
	exec("s", 1, 1)
	exec("s", 1, 1)

	// Another connection reads its own session, and shares the facts.
	b.db.SetMaxOpenConns(2)
	first, err := b.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	exec("s", 2, 1)
}

func TestEffects(t *testing.T) {
	b := newBench(t, "full")
	b.catalogPlanner(map[string]*sqlplan.Plan{
		"SET": {Effects: sqlplan.ChangesSession},
		"DDL": {Effects: sqlplan.ChangesCatalog},
	})
	type counts struct{ sessions, relations int }
	exec := func(e interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
	}, text string, want counts) {
		t.Helper()
		if _, err := e.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if got := (counts{b.server.sessions, b.server.relations}); got != want {
			t.Errorf("after %s: %+v, want %+v", text, got, want)
		}
	}
	exec(b.db, "s", counts{1, 1})
	exec(b.db, "SET", counts{1, 1})
	exec(b.db, "s", counts{2, 1}) // the same path: the facts stay
	exec(b.db, "DDL", counts{2, 1})
	exec(b.db, "s", counts{3, 2})

	// In a transaction: again when it ends, and only if something happened.
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		b.server.sessions, b.server.relations = 0, 0
		exec(b.db, "s", counts{0, 0})
		tx, err := b.db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(tx, "s", counts{0, 0})
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
		exec(b.db, "s", counts{0, 0})

		if tx, err = b.db.Begin(); err != nil {
			t.Fatal(err)
		}
		exec(tx, "DDL", counts{0, 0})
		exec(tx, "s", counts{1, 1})
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
		exec(b.db, "s", counts{2, 2})
	}
}

// What a transaction did to the catalog is seen by its own connection alone until it
// commits.
func TestUncommittedFactsAreNotShared(t *testing.T) {
	b := newBench(t, "full")
	b.db.SetMaxOpenConns(2)
	paths := b.catalogPlanner(map[string]*sqlplan.Plan{"DDL": {Effects: sqlplan.ChangesCatalog}})
	tx, err := b.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"DDL", "s"} {
		if _, err := tx.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	inside := (*paths)[len(*paths)-1]
	if _, err := b.db.Exec("s"); err != nil {
		t.Fatal(err)
	}
	outside := (*paths)[len(*paths)-1]
	if inside == outside || b.server.relations != 2 {
		t.Errorf("inside and outside share %q, %d lookups", inside, b.server.relations)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// A session with temporary tables resolves names in its own way.
func TestTemporaryTablesArePrivate(t *testing.T) {
	b := newBench(t, "full")
	b.server.temp = "true"
	b.db.SetMaxOpenConns(2)
	paths := b.catalogPlanner(nil)
	held, err := b.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := held.ExecContext(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.db.Exec("s"); err != nil {
		t.Fatal(err)
	}
	if (*paths)[0] == (*paths)[1] {
		t.Errorf("two sessions with temporary tables share %q", (*paths)[0])
	}
}

// Raw makes the session be read again.
func TestRawForgetsTheSession(t *testing.T) {
	b := newBench(t, "full")
	b.catalogPlanner(nil)
	if _, err := b.db.Exec("s"); err != nil {
		t.Fatal(err)
	}
	c, err := b.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Raw(func(dc any) error { Raw(dc); return nil }); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if _, err := b.db.Exec("s"); err != nil || b.server.sessions != 2 {
		t.Errorf("session read %d times, %v", b.server.sessions, err)
	}
}

// What was done to the catalog through Raw is not known; every connection reads it again,
// and until the connection is back in the pool this one reads for itself.
func TestRawForgetsTheCatalog(t *testing.T) {
	b := newBench(t, "full")
	b.db.SetMaxOpenConns(2)
	b.catalogPlanner(nil)
	other, err := b.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	held, err := b.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec := func(c *sql.Conn, relations int) {
		t.Helper()
		if _, err := c.ExecContext(t.Context(), "s"); err != nil || b.server.relations != relations {
			t.Errorf("%d lookups, want %d, %v", b.server.relations, relations, err)
		}
	}
	raw := func() {
		t.Helper()
		if err := held.Raw(func(dc any) error { Raw(dc); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	exec(other, 1)
	exec(held, 1)
	raw()
	exec(held, 2)
	exec(held, 2)
	raw()
	exec(held, 3)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err = b.db.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	exec(other, 4)
	exec(held, 4)
}

// otherConnector is a connector that is not known.
type otherConnector struct{ sqldriver.Connector }

func TestWhoResetsSessions(t *testing.T) {
	reset := func(context.Context, *pgx.Conn) error { return nil }
	byDriver, err := stdlib.GetDefaultDriver().(sqldriver.DriverContext).OpenConnector("postgres://localhost")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cn   sqldriver.Connector
		want bool
	}{
		"driver":                  {byDriver, false},
		"connector":               {stdlib.GetConnector(pgx.ConnConfig{}), false},
		"connector, connecting":   {stdlib.GetConnector(pgx.ConnConfig{}, stdlib.OptionAfterConnect(reset)), false},
		"pool":                    {stdlib.GetPoolConnector(nil), false},
		"connector, resetting":    {stdlib.GetConnector(pgx.ConnConfig{}, stdlib.OptionResetSession(reset)), true},
		"pool, resetting":         {stdlib.GetPoolConnector(nil, stdlib.OptionResetSession(reset)), true},
		"another connector":       {otherConnector{stdlib.GetConnector(pgx.ConnConfig{})}, true},
		"a connector of a driver": {dsnConnector{}, true},
	} {
		if got := resetsSession(tt.cn); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The keyring is opened when a key is first needed, again after a failure, and not after Close.
func TestKeyringOpensLazily(t *testing.T) {
	b := newBench(t, "full")
	b.with(b.plans, nil)
	b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("ssn")})
	if _, err := b.db.Exec("plain", 1); err != nil {
		t.Fatal(err)
	}
	if got := b.server.calls(); slices.ContainsFunc(got, func(call string) bool { return strings.Contains(call, "colseal_keys") }) {
		t.Errorf("a plain statement opened the keyring: %q", got)
	}
	missing := &pgLikeError{state: "42P01"}
	b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) { return nil, missing }
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, err := b.cn.db.Keyring(context.Background())
			if !errors.Is(err, ErrNoKeyTable) || !strings.Contains(fmt.Sprintf("%+v", err), "colseal keys init") {
				t.Errorf("Keyring() without a key table = %v, want ErrNoKeyTable with a hint", err)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.cn.db.Keyring(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Keyring() with a cancelled context = %v, want context.Canceled", err)
	}
	b.server.onRun = nil
	_ = b.db.Close()
	if _, err := b.cn.db.Keyring(context.Background()); !errors.Is(err, sql.ErrConnDone) {
		t.Errorf("Keyring() after Close = %v, want sql.ErrConnDone", err)
	}
}
