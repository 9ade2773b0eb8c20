package integration

import (
	"database/sql"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

// TestTwoRegions lives through the outages of either of two Regions: rows that were written before several KEKs
// were configured open, rows that are written with both Regions open with either, and those that were written while
// one was down open in it after a rewrap.
func TestTwoRegions(t *testing.T) {
	pg := pgtest.New(t)
	west, east := kmstest.Start(t), kmstest.Start(t, kmstest.WithRegion("us-east-1"))
	west.CreateKey(kmstest.Alias(alias))
	east.CreateKey(kmstest.Alias(alias))
	inWest, inEast := awskms.New(west.Client(t), alias), awskms.New(east.Client(t), alias)
	multi := func(minWraps int) kms.Wrapper {
		m, err := kms.NewMulti(kms.MultiConfig{MinWraps: minWraps, Logger: slog.New(slog.DiscardHandler)}, inWest, inEast)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	tables := schema.Must(schema.Columns("letters", schema.Column{Name: "body", Kind: schema.KindText}))
	mustExec(t, pg.Admin, "CREATE TABLE letters (scope text, body bytea)")
	process := func(w kms.Wrapper) *sql.DB {
		return openSealed(t, pg.DSN(), pgx.QueryExecModeCacheStatement, driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true})
	}
	write := func(db *sql.DB, scope string) error {
		_, err := db.ExecContext(keyring.WithScope(t.Context(), scope), "INSERT INTO letters VALUES ($1, $2)", scope, "of "+scope)
		return err
	}
	read := func(scope string) error {
		var body string
		err := process(multi(0)).QueryRow("SELECT body FROM letters WHERE scope = $1", scope).Scan(&body)
		if err == nil && body != "of "+scope {
			t.Errorf("%s: %q", scope, body)
		}
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}

	must(write(process(inWest), "before"))
	must(write(process(multi(0)), "both"))
	lift := west.Break(kmstest.OutageRefused)
	must(read("both"))
	if err := read("before"); !errors.Is(err, driver.ErrKeyUnavailable) {
		t.Errorf("one wrap, in an outage: %v", err)
	}
	if err := write(process(multi(0)), "none"); !errors.Is(err, driver.ErrKeyUnavailable) {
		t.Errorf("all wraps are needed: %v", err)
	}
	must(write(process(multi(1)), "east"))
	lift()

	admin := keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), multi(0), keyring.AdminConfig{By: "test"})
	report, err := admin.Rewrap(t.Context(), keyring.RewrapOptions{})
	if err != nil || report.Rewrapped != 2 || report.Current != 1 || len(report.Failed) > 0 {
		t.Errorf("rewrap: %+v, %v", report, err)
	}
	for _, down := range []*kmstest.Server{west, east} {
		lift := down.Break(kmstest.OutageRefused)
		for _, scope := range []string{"before", "both", "east"} {
			must(read(scope))
		}
		lift()
	}
}
