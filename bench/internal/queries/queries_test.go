package queries

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStatements(t *testing.T) {
	if got, want := plainKind.insert("_write", 2),
		"INSERT INTO plain_write (id, name, email, phone) VALUES ($1, $2, $3, $4), ($5, $6, $7, $8)"; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := sealedKind.query("id = $1"), "SELECT name, email, phone FROM sealed_read WHERE id = $1"; got != want {
		t.Errorf("got %s", got)
	}
	if got := pgpKind.query("id = $1"); strings.Count(got, "pgp_sym_decrypt(") != 3 {
		t.Errorf("got %s", got)
	}
	if got := arguments(7, 2); len(got) != 8 || got[0] != int64(7) || got[4] != int64(8) {
		t.Errorf("got %v", got)
	}
}

func TestOnly(t *testing.T) {
	if got := (Options{Only: "fsync"}).cases(); len(got) != 1 || !got[0].durable {
		t.Errorf("got %+v", got)
	}
	for only, want := range map[string]int{"driver": 7, "native": 4, "write-only": 1, "no such case": 0} {
		if got := (Options{Only: only}).cases(); len(got) != want {
			t.Errorf("%q selects %d cases, want %d", only, len(got), want)
		}
	}
	if _, err := Run(t.Context(), Options{Only: "fsync", Replayed: true}, nil); err == nil {
		t.Error("nothing to measure is no error")
	}
	if got := (Options{}).cases(); len(got) != len(cases) {
		t.Errorf("%d of %d cases", len(got), len(cases))
	}
	rows := cases[slices.IndexFunc(cases, func(c testCase) bool { return c.tenfold })]
	if got := rows.conns(Options{Conns: []int{1, 8}}); len(got) != 1 {
		t.Errorf("numbers of rows are compared over %v connections", got)
	}
}

func TestDSNIsNotTold(t *testing.T) {
	if _, err := config("postgres://u:secret@h:port/d", false); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// TestRun measures for a moment, on the server that COLSEAL_TEST_DSN names.
func TestRun(t *testing.T) {
	dsn := os.Getenv("COLSEAL_TEST_DSN")
	if dsn == "" || testing.Short() {
		t.Skip("no server is named")
	}
	out, err := Run(context.Background(), Options{DSN: dsn, Rounds: 2, Block: time.Millisecond, Limit: time.Minute, Conns: []int{1, 2}, Only: "driver: INSERT 3 values, asynchronous"}, func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Results) != 14 || len(out.Tables()) != 2 {
		t.Errorf("%d results, %d tables, want 14, 2", len(out.Results), len(out.Tables()))
	}
}

func TestInsertion(t *testing.T) {
	if got, want := insertion("t", []string{"id", "seen"}, 2), "INSERT INTO t (id, seen) VALUES ($1, $2), ($3, $4)"; got != want {
		t.Errorf("got %s", got)
	}
}

// TestSearch measures searches for a moment, on the server that COLSEAL_TEST_DSN names, after each way has read the same rows.
func TestSearch(t *testing.T) {
	dsn := os.Getenv("COLSEAL_TEST_DSN")
	if dsn == "" || testing.Short() {
		t.Skip("no server is named")
	}
	out, err := Search(context.Background(), SearchOptions{DSN: dsn, Rows: 20_000, Rounds: 2, Block: time.Millisecond, Limit: time.Minute}, func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Results) != 22 || len(out.Tables()) != 7 {
		t.Errorf("%d results, %d tables, want 22, 7", len(out.Results), len(out.Tables()))
	}
}
