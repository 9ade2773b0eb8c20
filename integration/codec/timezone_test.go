package codec

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// TestTimeZone: the text of an instant without a zone is sealed as what it is in a plain column at that moment, in every way in which a
// session's TimeZone changes. Where this program does not know the zone, it is refused.
func TestTimeZone(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		if _, err := pg.Admin.Exec("CREATE TABLE visits (id int PRIMARY KEY, at bytea, plain timestamptz)"); err != nil {
			t.Fatal(err)
		}
		kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(mode.String(), func(t *testing.T) {
				cfg, err := pgx.ParseConfig(pg.DSN())
				if err != nil {
					t.Fatal(err)
				}
				cfg.DefaultQueryExecMode = mode
				cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{KMS: kek, AutoCreateKeyTable: true,
					Schema: schema.Must(schema.Columns("visits", schema.Column{Name: "at", Kind: schema.KindTime, Mode: schema.ModeDeterministic}))})
				if err != nil {
					t.Fatal(err)
				}
				db := sql.OpenDB(cn)
				defer func() {
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				}()
				conn, err := db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				exec := func(query string) {
					t.Helper()
					if _, err := conn.ExecContext(t.Context(), query); err != nil {
						t.Fatalf("%s: %v", query, err)
					}
				}
				same(t, conn, "as the server has it")
				for _, setting := range []string{"Asia/Tokyo", "America/New_York", "europe/berlin", "UTC"} {
					exec("SET TIME ZONE '" + setting + "'")
					same(t, conn, setting)
				}
				exec("SELECT set_config('TimeZone', 'Asia/Kolkata', false)")
				same(t, conn, "by a function")
				exec("BEGIN")
				exec("SET LOCAL TimeZone = 'Asia/Tokyo'")
				same(t, conn, "in a transaction")
				exec("ROLLBACK")
				same(t, conn, "after it")
				exec("SET TIME ZONE INTERVAL '+09:30' HOUR TO MINUTE")
				if err := insert(t.Context(), conn); !errors.Is(err, driver.ErrValue) {
					t.Errorf("in a zone without a name: %v", err)
				}
			})
		}
	})
}

const text = "2024-07-01 12:00"

func insert(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "DELETE FROM visits"); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "INSERT INTO visits (id, at, plain) VALUES (1, $1, $2)", text, text)
	return err
}

func same(t *testing.T, conn *sql.Conn, what string) {
	t.Helper()
	if err := insert(t.Context(), conn); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	var at, plain time.Time
	if err := conn.QueryRowContext(t.Context(), "SELECT at, plain FROM visits WHERE at = $1", text).Scan(&at, &plain); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !at.Equal(plain) || at.Location() != plain.Location() {
		t.Errorf("%s: sealed as %v, and plain it is %v", what, at, plain)
	}
}

// TestPgtype: pgtype's dates and times go in and come out, infinite ones too, as through plain columns.
func TestPgtype(t *testing.T) {
	type moments struct {
		D  pgtype.Date        `db:"d" seal:"deterministic"`
		TS pgtype.Timestamp   `db:"ts" seal:"deterministic"`
		TZ pgtype.Timestamptz `db:"tz" seal:"deterministic"`
	}
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for _, statement := range []string{"CREATE TABLE moments (id int PRIMARY KEY, d bytea, ts bytea, tz bytea)", "CREATE TABLE twins (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz)"} {
			if _, err := pg.Admin.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := pgx.ParseConfig(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{KMS: kek, AutoCreateKeyTable: true, Schema: schema.Must(schema.Model("moments", moments{}))})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		at := time.Date(1984, 3, 9, 23, 30, 0, 123456789, time.FixedZone("", -5*3600))
		for i, m := range []moments{
			{pgtype.Date{Time: at, Valid: true}, pgtype.Timestamp{Time: at, Valid: true}, pgtype.Timestamptz{Time: at, Valid: true}},
			{pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}, pgtype.Timestamp{InfinityModifier: pgtype.NegativeInfinity, Valid: true}, pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}},
			{},
		} {
			var got, want moments
			for table, to := range map[string]*moments{"moments": &got, "twins": &want} {
				if _, err := db.Exec("INSERT INTO "+table+" (id, d, ts, tz) VALUES ($1, $2, $3, $4)", i, m.D, m.TS, m.TZ); err != nil {
					t.Fatalf("%s %v: %v", table, m, err)
				}
				if err := db.QueryRow("SELECT d, ts, tz FROM "+table+" WHERE id = $1", i).Scan(&to.D, &to.TS, &to.TZ); err != nil {
					t.Fatalf("%s %v: %v", table, m, err)
				}
				n := 0
				if err := db.QueryRow("SELECT count(*) FROM "+table+" WHERE d = $1 AND ts = $2 AND tz = $3", m.D, m.TS, m.TZ).Scan(&n); err != nil || (n == 1) != m.D.Valid {
					t.Errorf("%s: found %d of %v, %v", table, n, m, err)
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v comes back as %v, from a plain table as %v", m, got, want)
			}
		}
	})
}
