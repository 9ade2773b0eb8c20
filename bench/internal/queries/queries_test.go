package queries

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
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

// Every goal names a case and a way that there are, and is judged.
func TestGoals(t *testing.T) {
	var o Outcome
	for _, c := range cases {
		for _, name := range []string{namePlain, nameAgain, nameUntagged, nameSealed, nameRows} {
			o.Results = append(o.Results, Result{Case: c.name, Conns: 1, Name: name, Plain: stat.Exactly(1.03), Cipher: stat.Exactly(1.3)})
		}
	}
	got := o.Goals()
	if len(got) != len(goals()) {
		t.Fatalf("%d of %d goals", len(got), len(goals()))
	}
	verdict := map[string]doc.Verdict{}
	for _, g := range got {
		verdict[g.What] = g.Verdict
	}
	for what, want := range map[string]doc.Verdict{
		"nothing tagged, SELECT, 1 connection":                                         doc.Met, // no more than the A/A row
		"SELECT by primary key, 3 sealed cells, 1 connection":                          doc.Met,
		"INSERT, 3 sealed cells, fsync, 1 connection":                                  doc.Met,
		"SELECT 1000 × 3 into strings ÷ the same ciphertext undecrypted, 1 connection": doc.NotMet,
		"10 × the rows: time per row, 1 connection":                                    doc.NotMet,
	} {
		if verdict[what] != want {
			t.Errorf("%s: %q, want %q", what, verdict[what], want)
		}
	}
}

func TestNoiseShowsNothing(t *testing.T) {
	sealed := stat.Ratio{Median: 1.02, Low: 1.01, High: 1.03}
	if got := judge(sealed, stat.Ratio{Median: 1, Low: 0.7, High: 1.4}, 1.05); got != doc.NotShown {
		t.Errorf("beside an A/A row of ± 35 %%: %q", got)
	}
	if got := judge(sealed, stat.Ratio{Median: 1, Low: 0.97, High: 1.04}, 1.05); got != doc.Met {
		t.Errorf("beside one of ± 3.5 %%: %q", got)
	}
}

func TestOnly(t *testing.T) {
	if got := (Options{Only: "fsync"}).cases(); len(got) != 1 || !got[0].durable {
		t.Errorf("got %+v", got)
	}
	if got := (Options{}).cases(); len(got) != len(cases) {
		t.Errorf("%d of %d cases", len(got), len(cases))
	}
	rows := cases[slices.IndexFunc(cases, func(c testCase) bool { return c.tenfold })]
	if got := rows.conns([]int{1, 8}); len(got) != 1 {
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
	out, err := Run(context.Background(), Options{DSN: dsn, Rounds: 2, Block: time.Millisecond, Limit: time.Minute, Conns: []int{1, 2}, Only: "3 values, asynchronous"}, func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Results) != 14 || len(out.Tables()) != 2 || len(out.Goals()) != 4 {
		t.Errorf("%d results, %d tables, %d goals", len(out.Results), len(out.Tables()), len(out.Goals()))
	}
}
