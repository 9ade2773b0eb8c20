package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
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
		b.cn.st.forgetCatalog("another connection changed it")
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
	b.cn.st.ring.ready.Store(&openRing{keySource: scopedKeys{b.keys}})
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
		want, err := b.keys.key(keyColumn(b.col("email")), id)
		if err != nil {
			t.Fatal(err)
		}
		cell, err := want.SealValue(b.col("email").Kind, "a@x")
		if err != nil {
			t.Fatal(err)
		}
		if sent := `'\x` + hex.EncodeToString(cell) + `'::bytea`; b.server.lastQuery != sent {
			t.Errorf("not sealed under key %d: %s", id, b.server.lastQuery)
		}
	}
	run(t.Context(), 11)
	b.keys.live = []uint32{12} // nothing was run while both were live
	run(t.Context(), 12)
	run(keyring.WithScope(t.Context(), "tenant"), 77)
	run(t.Context(), 12)
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
		var cell []byte
		if _, err := fmt.Sscanf(b.server.lastQuery, `'\x%x'::bytea`, &cell); err != nil {
			t.Fatal(err)
		}
		if h, err := codec.ParseHeader(cell); err != nil || h.KeyID != id {
			t.Errorf("sealed under key %d, %v; want %d", h.KeyID, err, id)
		}
	}
	under(5)
	first := b.server.lastQuery
	if under(5); b.server.lastQuery != first {
		t.Error("prepared anew without need")
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
	b.cn.st.ring.ready.Store(&openRing{keySource: &racingKeys{handKeys: b.keys}})
	p := sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("email")})
	p.Search, p.SearchKeys = true, 1
	b.plans.plans["s"] = p
	if _, err := b.db.Exec("s", "a@x"); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("searched with one key of two: %v", err)
	}
}

// One that can be planned anew is.
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
			b.cn.st.ring.ready.Store(&openRing{keySource: &racingKeys{handKeys: b.keys}})
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

// Text for a column of bytes is read as PostgreSQL reads the text of a bytea.
func TestParseBytea(t *testing.T) {
	for in, want := range map[string]string{
		``: "", `abc`: "abc", `\x`: "", `\x0102`: "\x01\x02", `\xAb cD`: "\xab\xcd", `a\\b`: `a\b`, `\001\377z`: "\x01\xffz", "é": "é",
	} {
		if got, err := parseBytea(in); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{`\x0`, `\xzz`, `\`, `\4`, `\400`, `\12`, `\x0 1`, `a\x01`} {
		if got, err := parseBytea(in); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}
