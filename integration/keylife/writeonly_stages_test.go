package keylife

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// intake has a column that write-only programs may write, and two that they may not, on their way.
var intake = schema.Must(schema.Columns("intake",
	schema.Column{Name: "tax", Inbox: true, Stage: schema.StageCopy}, schema.Column{Name: "note", Stage: schema.StageCopy},
	schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Stage: schema.StageCopy}))

// TestWriteOnlyStages: in copy a write-only program is refused nothing, and copies what it may seal; in sealed and only it is what it
// is without stages.
func TestWriteOnlyStages(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		o.exec(t, "CREATE TABLE intake (id bigint PRIMARY KEY, tax text, note text, mail text, tax_sealed bytea, note_sealed bytea, mail_sealed bytea)")
		o.exec(t, "GRANT SELECT, INSERT, UPDATE ON intake TO "+o.writer.name)
		if err := o.store(t).CreateStages(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON colseal_keys_stages TO "+o.writer.name)
		var log strings.Builder
		open := func(stage schema.Stage, dsn string, cfg driver.Config) *sql.DB {
			cfg.Schema, cfg.Stages, cfg.Logger = intake, map[string]schema.Stage{"intake": stage}, slog.New(slog.NewTextHandler(&log, nil))
			return o.open(t, dsn, cfg)
		}
		calls := o.kms.Calls()
		for n, stage := range []schema.Stage{schema.StageCopy, schema.StageSealed, schema.StageOnly} {
			form := open(stage, o.writer.dsn, driver.Config{WriteOnly: &driver.Inbox{Pins: []string{o.inbox.Pin()}}})
			for _, st := range []struct {
				query  string
				denied bool // once the column is sealed
			}{
				{fmt.Sprintf("INSERT INTO intake (id, tax) VALUES (%d, $1)", 10*n+1), false},
				{fmt.Sprintf("INSERT INTO intake (id, tax) VALUES (%d, 'x'), (%d, $1) ON CONFLICT (id) DO UPDATE SET tax = $1", 10*n+1, 10*n+2), false},
				{fmt.Sprintf("INSERT INTO intake (id, tax, note) VALUES (%d, 'x', $1)", 10*n+3), true},
				{fmt.Sprintf("INSERT INTO intake (id, tax, mail) VALUES (%d, 'x', $1)", 10*n+4), true},
				{fmt.Sprintf("UPDATE intake SET tax = 'y', mail = $1 WHERE id = %d", 10*n+4), true},
				{"UPDATE intake SET tax = $1 WHERE id < 0 RETURNING tax", true},
				{"SELECT id FROM intake WHERE mail = $1", true},
				{"SELECT tax FROM intake WHERE id > length($1::text)", true},
			} {
				log.Reset()
				_, err := form.ExecContext(t.Context(), st.query, "x")
				observed := strings.Contains(log.String(), "colseal.observed class=write_only")
				switch copying := stage == schema.StageCopy; {
				case copying && (err != nil || observed != st.denied):
					t.Errorf("copy: %s: %v, observed is %v\n%s", st.query, err, observed, log.String())
				case !copying && (errors.Is(err, driver.ErrWriteOnly) != st.denied || !st.denied && err != nil || observed):
					t.Errorf("%s: %s: %v\n%s", stage, st.query, err, log.String())
				}
			}
			conn := must[*sql.Conn](t)(form.Conn(t.Context()))
			for _, column := range []string{"tax", "mail"} {
				_, err := driver.CopyFrom(t.Context(), conn, "intake", []string{"id", column}, [][]any{{10*n + 5 + len(column), "x"}})
				if denied := column == "mail" && stage > schema.StageCopy; errors.Is(err, driver.ErrWriteOnly) != denied || !denied && err != nil {
					t.Errorf("%s: CopyFrom of %s: %v", stage, column, err)
				}
			}
			if err := errors.Join(conn.Close(), form.Close()); err != nil {
				t.Error(err)
			}
		}
		if n := o.kms.Calls() - calls; n != 0 {
			t.Errorf("%d calls of KMS by programs that only write", n)
		}
		count := func(where string) (n int) {
			t.Helper()
			if err := pg.Admin.QueryRow("SELECT count(*) FROM intake WHERE " + where).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, c := range []struct {
			where string
			want  int
		}{
			{"id < 10 AND tax IS NOT NULL AND tax_sealed IS NULL", 0},
			{"id < 10 AND (note_sealed IS NOT NULL OR mail_sealed IS NOT NULL)", 0},
			{"id < 10 AND note = 'x'", 1}, {"id < 10 AND mail = 'x'", 2},
			{"id BETWEEN 10 AND 20 AND tax IS NOT NULL AND tax_sealed IS NOT NULL", 3},
			{"id > 20 AND tax IS NULL AND tax_sealed IS NOT NULL", 3},
		} {
			if n := count(c.where); n != c.want {
				t.Errorf("%d rows with %s, want %d", n, c.where, c.want)
			}
		}
		reader := open(schema.StageOnly, pg.DSN(), driver.Config{KMS: awskms.New(o.kms.Client(t), alias)})
		rows := must[*sql.Rows](t)(reader.QueryContext(t.Context(), "SELECT tax FROM intake WHERE tax IS NOT NULL"))
		defer rows.Close()
		for rows.Next() {
			var tax string
			if err := rows.Scan(&tax); err != nil || tax != "x" && tax != "y" {
				t.Errorf("%q, %v", tax, err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
	})
}

// TestWriteOnlyMigrated: what a write-only program sealed gets other options, is unsealed, and is taken back from them, as other cells are.
func TestWriteOnlyMigrated(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		o.exec(t, "CREATE TABLE intake (id bigserial PRIMARY KEY, tax text)")
		o.exec(t, "GRANT SELECT, INSERT, UPDATE ON intake TO "+o.writer.name+"; GRANT USAGE ON SEQUENCE intake_id_seq TO "+o.writer.name)
		o.exec(t, "INSERT INTO intake (tax) VALUES ('1')")
		if err := o.store(t).CreateStages(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON colseal_keys_stages TO "+o.writer.name)
		takes := func(f func(context.Context, *sql.DB, migrate.Options) (migrate.Report, error), to migrate.Ready, tables *schema.Schema) {
			t.Helper()
			db := o.open(t, pg.DSN(), driver.Config{Schema: tables, KMS: awskms.New(o.kms.Client(t), alias)})
			if r, err := f(t.Context(), db, migrate.Options{Lock: true, For: to}); err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			_ = db.Close()
		}
		inbox := schema.Must(schema.Columns("intake", schema.Column{Name: "tax", Inbox: true, Stage: schema.StageOnly}))
		found := schema.Must(schema.Columns("intake", schema.Column{Name: "tax", Mode: schema.ModeDeterministic, Stage: schema.StageOnly,
			Stored: "tax_found", Was: &schema.Column{Name: "tax", Inbox: true, Stored: "tax_sealed"}}))
		for _, change := range []bool{false, true} {
			takes(migrate.Seal, migrate.ReadySealedOnly, inbox)
			form := o.open(t, o.writer.dsn, driver.Config{Schema: inbox, WriteOnly: &driver.Inbox{Pins: []string{o.inbox.Pin()}}})
			if _, err := form.ExecContext(t.Context(), "INSERT INTO intake (tax) VALUES ('2')"); err != nil {
				t.Fatal(err)
			}
			_ = form.Close()
			// A cell under a row that is no key is one that does not open, as it is for reseal.
			o.exec(t, "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, wrapped_to, seals_reserved) VALUES (7, 'writer', '', 1000, '', 'x', $1, 1)", int64(o.inbox.ID))
			o.exec(t, "INSERT INTO intake (tax_sealed) SELECT overlay(tax_sealed placing '\\x00000007' from 5) FROM intake WHERE tax_sealed IS NOT NULL LIMIT 1")
			db := o.open(t, pg.DSN(), driver.Config{Schema: inbox, KMS: awskms.New(o.kms.Client(t), alias)})
			if r, err := migrate.Unseal(t.Context(), db, migrate.Options{Lock: true, For: migrate.ReadyPlain}); !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 1 || r.Opened != 2 {
				t.Errorf("%d unfit, %d opened, %v", r.Unfit, r.Opened, err)
			}
			_ = db.Close()
			o.exec(t, "DELETE FROM intake WHERE substr(tax_sealed, 5, 4) = '\\x00000007'; DELETE FROM colseal_keys WHERE key_id = 7")
			if change {
				takes(migrate.Seal, migrate.ReadySealedOnly, found)
				takes(migrate.Unseal, migrate.ReadyPlain, found)
			}
			takes(migrate.Unseal, migrate.ReadyPlain, inbox)
			var got string
			if err := pg.Admin.QueryRow("SELECT string_agg(tax, ' ' ORDER BY tax) FROM intake").Scan(&got); err != nil || got != "1 2" {
				t.Errorf("%q, %v", got, err)
			}
			o.exec(t, "DELETE FROM intake WHERE tax = '2'")
		}
	})
}
