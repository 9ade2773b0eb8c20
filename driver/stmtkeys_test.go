package driver

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

// A table that changes while a statement is being prepared makes its plan an old one.
func TestPreparedWhileTheCatalogChanged(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = sealedPlan("first", sqlplan.Param{From: 1})
	b.server.onPrepare = func() {
		b.server.onPrepare = nil
		b.plans.plans["s"] = sealedPlan("second", sqlplan.Param{From: 1, Use: b.use("ssn")})
		b.cn.db.CatalogChanged("another connection changed it")
	}
	st, err := b.db.Prepare("s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec(canary); err != nil {
		t.Fatal(err)
	}
	if got := b.server.lastArgs[0].Value; b.server.lastQuery != "second" || got == any(canary) {
		t.Errorf("the old plan was used: %q, plaintext %t", b.server.lastQuery, got == any(canary))
	}
}

// scopedKeys has other keys for each scope.
type scopedKeys struct{ *handKeys }

func (k scopedKeys) SearchKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error) {
	if keyring.ScopeOf(ctx) != "" {
		key, err := k.key(col, 77)
		return []*codec.Key{key}, err
	}
	return k.handKeys.SearchKeys(ctx, col)
}

// The literals of a prepared statement are sealed for the scope and the search keys of
// each use.
func TestPreparedLiteralsFollowTheKeys(t *testing.T) {
	b := newBench(t, "full")
	b.with(b.plans, scopedKeys{b.keys})
	p := sealedPlan("")
	p.Chunks, p.Search, p.SearchKeys = []string{"", ""}, true, 1
	p.Literals = []sqlplan.Literal{{Value: "a@x", Use: *b.use("email")}}
	b.plans.plans["s"] = p
	conn, err := b.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	st, err := conn.PrepareContext(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, id uint32) {
		t.Helper()
		if _, err := st.ExecContext(ctx); err != nil {
			t.Fatal(err)
		}
		b.sealedUnder(t, "email", id)
	}
	run(t.Context(), 11)
	b.keys.live = []uint32{12} // nothing was run while both were live
	run(t.Context(), 12)
	run(keyring.WithScope(t.Context(), "tenant"), 77)
	run(t.Context(), 12)
}

// sealedUnder checks that the one argument that was sent is a cell under a key, and that the text has a parameter for it.
func (b *bench) sealedUnder(t *testing.T, column string, id uint32) {
	t.Helper()
	if want := "$1::pg_catalog.bytea"; b.server.lastQuery != want || len(b.server.lastArgs) != 1 {
		t.Fatalf("sent %q with %d arguments, want %q with one", b.server.lastQuery, len(b.server.lastArgs), want)
	}
	cell, _ := b.server.lastArgs[0].Value.([]byte)
	if h, err := codec.Recognize(cell, b.col(column).Tag()); err != nil || h.KeyID != id {
		t.Errorf("sealed under key %d (%v), want %d", h.KeyID, err, id)
	}
}

// A prepared statement does not go on storing cells under a data key that was followed,
// revoked or destroyed.
func TestPreparedLiteralsFollowTheDataKey(t *testing.T) {
	b := newBench(t, "full")
	p := sealedPlan("")
	p.Chunks = []string{"", ""}
	p.Literals = []sqlplan.Literal{{Value: "078-05-1120", Use: *b.use("ssn")}}
	b.plans.plans["s"] = p
	st, err := b.db.Prepare("s")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	under := func(id uint32) {
		t.Helper()
		if _, err := st.Exec(); err != nil {
			t.Fatal(err)
		}
		b.sealedUnder(t, "ssn", id)
	}
	under(5)
	first := b.server.lastArgs[0].Value.([]byte)
	if under(5); bytes.Equal(b.server.lastArgs[0].Value.([]byte), first) {
		t.Error("two executions stored the same cell of a randomized column")
	}
	b.keys.dataID = 6
	under(6)
	b.keys.err = keyring.ErrKeyDestroyed
	if _, err := st.Exec(); !errors.Is(err, ErrKeyDestroyed) {
		t.Error("a cell was stored that nobody opens:", err)
	}
}

// racingKeys make a second search key live after the first question.
type racingKeys struct {
	*handKeys
	asked int
}

func (k *racingKeys) SearchKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error) {
	if k.asked++; k.asked == 2 {
		k.live = []uint32{12, 11}
	}
	return k.handKeys.SearchKeys(ctx, col)
}

// A search that was planned for one key does not silently pass over the cells of another.
func TestSearchKeyAppearsAfterPlanning(t *testing.T) {
	b := newBench(t, "full")
	b.with(b.plans, &racingKeys{handKeys: b.keys})
	p := sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("email")})
	p.Search, p.SearchKeys = true, 1
	b.plans.plans["s"] = p
	if _, err := b.db.Exec("s", "a@x"); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("searched with one key of two: %v", err)
	}
}

// One that can be planned again is.
func TestSearchKeyAppearsAndIsPlannedFor(t *testing.T) {
	for name, run := range map[string]func(b *bench) error{
		"exec": func(b *bench) error { _, err := b.db.Exec("s", "a@x"); return err },
		"prepared": func(b *bench) error {
			st, err := b.db.Prepare("s")
			if err != nil {
				return err
			}
			defer st.Close()
			_, err = st.Exec("a@x")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "full")
			b.with(b.plans, &racingKeys{handKeys: b.keys})
			one := sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("email")})
			one.Search, one.SearchKeys = true, 1
			two := *one
			two.SearchKeys = 2
			b.plans.byKeys = map[int]*sqlplan.Plan{1: one, 2: &two}
			if err := run(b); err != nil {
				t.Error(err)
			}
		})
	}
}

// otherText makes another text.
type otherText struct{}

func (otherText) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	return "INSERT INTO users (ssn) VALUES ('" + canary + "')", nil, nil
}

// A rewriter never reaches pgx, whatever stands between, since nobody would look at the
// text that it makes.
func TestRewritersReachNobody(t *testing.T) {
	b := newBench(t, "full")
	b.server.check = func(nv *sqldriver.NamedValue) error { return nil } // as pgx's
	b.server.stmtCheck = b.server.check
	for _, args := range [][]any{{otherText{}}, {pgx.QueryExecModeExec, otherText{}, 1}} {
		if _, err := b.db.Exec("plain", args...); !errors.Is(err, ErrRefused) {
			t.Errorf("Exec: %v", err)
		}
		rows, err := b.db.Query("plain", args...)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("Query: %v", err)
		}
		if rows != nil { // it would hold the one connection
			_ = rows.Close()
		}
		st, err := b.db.Prepare("plain")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Exec(args...); !errors.Is(err, ErrRefused) {
			t.Errorf("Stmt.Exec: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
