package inout

import (
	"context"
	"slices"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// during is a KMS that has something happen while it is asked: between the reading and the writing of rows.
type during struct {
	kms.Wrapper
	happens func()
}

func (d *during) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	d.happens()
	return d.Wrapper.GenerateDataKey(ctx, ec)
}

func (d *during) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	d.happens()
	return d.Wrapper.Unwrap(ctx, w, ec)
}

// Rows without a key are known by their place. Where a table is rewritten between reading and writing, another row has the place,
// of the same transaction perhaps: it does not get the cell, nor the value, of the one that was read.
func TestRowsMoveMeanwhile(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for _, move := range []string{"VACUUM FULL people", "CLUSTER people USING people_n", "ALTER TABLE people ALTER note TYPE bytea USING note::bytea"} {
			w := newWorld(t, pg, "CREATE TABLE people (n int, mail text, note text); CREATE INDEX people_n ON people (n); INSERT INTO people SELECT 0 FROM generate_series(1, 5); INSERT INTO people SELECT 40 - g, 'm' || 40 - g FROM generate_series(1, 30) g; DELETE FROM people WHERE n = 0")
			w.kms = &during{w.kms, func() { mustExec(t, pg.Admin, move) }}
			for _, l := range way {
				db := w.open(t, func() (*schema.Schema, error) {
					return schema.New(schema.Columns("people", schema.Column{Name: "mail", Stage: schema.StageCopy}))
				})
				if l.in && l.to == migrate.ReadyCopy {
					mustExec(t, pg.Admin, "DELETE FROM people WHERE n = 39") // it makes room when the table is rewritten
				}
				if r, err := l.run(t.Context(), db, migrate.Options{}); err != nil {
					t.Fatalf("%s: %+v, %v", l, r, err)
				}
				if !l.in && l.to == migrate.ReadyOnly {
					mustExec(t, pg.Admin, "DELETE FROM people WHERE n = 38")
				}
				_ = db.Close()
			}
			if got := all(t, pg.Admin, "SELECT concat_ws(' ', n, mail) FROM people WHERE mail IS DISTINCT FROM 'm' || n"); !slices.Equal(got, nil) {
				t.Errorf("%s: %q", move, got)
			}
			if got := all(t, pg.Admin, "SELECT count(*)::text FROM people"); got[0] != "28" {
				t.Errorf("%s: %q", move, got)
			}
			mustExec(t, pg.Admin, "DROP TABLE people, colseal_keys, colseal_keys_stages")
		}
	})
}
