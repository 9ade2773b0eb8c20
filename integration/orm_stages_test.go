package integration

import (
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// stagedColumns are those of account and parcel, on their way; with a suffix they are the companions, as columns of their own.
func stagedColumns(suffix string, stage schema.Stage) *schema.Schema {
	deterministic := func(name string, kind schema.Kind) schema.Column {
		return schema.Column{Name: name + suffix, ID: "accounts." + name, Mode: schema.ModeDeterministic, Kind: kind, Stage: stage}
	}
	return schema.Must(
		schema.Columns("accounts", deterministic("email", schema.KindText), deterministic("level", schema.KindInt),
			schema.Column{Name: "secret" + suffix, ID: "accounts.secret", Stage: stage}, schema.Column{Name: "born" + suffix, ID: "accounts.born", Kind: schema.KindTime, Stage: stage}),
		schema.Columns("parcels", schema.Column{Name: "item" + suffix, ID: "parcels.item", Stage: stage}))
}

// inTurn opens connections as two programs do, one after another.
type inTurn struct {
	programs [2]sqldriver.Connector
	opened   atomic.Int64
}

func (c *inTurn) Connect(ctx context.Context) (sqldriver.Conn, error) {
	return c.programs[c.opened.Add(1)%2].Connect(ctx)
}

func (c *inTurn) Driver() sqldriver.Driver { return c.programs[0].Driver() }

func (c *inTurn) Close() (err error) {
	for _, p := range c.programs {
		if closer, ok := p.(io.Closer); ok {
			err = errors.Join(err, closer.Close())
		}
	}
	return err
}

// TestORMsInStages runs what libraries send in each two stages that may be side by side, each statement or transaction in the one program
// and the next one in the other, and wants the same as from a plaintext twin.
func TestORMsInStages(t *testing.T) {
	type program struct {
		name string
		run  func(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error
	}
	programs := []program{{"GORM", useGORM}, {"sqlx", useSQLX}}
	const without, copies, sealed, only = schema.StageNone, schema.StageCopy, schema.StageSealed, schema.StageOnly
	pg := pgtest.New(t)
	cfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	plain := stdlib.GetConnector(*cfg)
	const ddl = `DROP TABLE IF EXISTS accounts, parcels;
		CREATE TABLE accounts (id bigint PRIMARY KEY, email text UNIQUE, secret text, born timestamptz, level bigint, city text);
		CREATE TABLE parcels (id bigint PRIMARY KEY, account_id bigint, item text)`
	all := func(db *sql.DB, query string) string {
		return ormOutcome(t, db, nil, func(ctx context.Context, db *sql.DB, _ []account, say func(...any)) error {
			var found []account
			err := sqlx.NewDb(db, "pgx").SelectContext(ctx, &found, query)
			say(utc(found...))
			return err
		})
	}
	const ofPlain = "SELECT id, email, secret, born, level, city FROM accounts ORDER BY id"
	want, rows := map[string]string{}, map[string]string{}
	for _, p := range programs {
		mustExec(t, pg.Admin, ddl)
		want[p.name] = ormOutcome(t, pg.Admin, newAccounts("s"), p.run)
		rows[p.name] = all(pg.Admin, ofPlain)
	}
	mustExec(t, pg.Admin, ddl)
	store := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "")
	if err := errors.Join(store.Create(t.Context()), store.CreateStages(t.Context())); err != nil {
		t.Fatal(err)
	}
	wrapper := newWrapper(t)
	of := func(s *schema.Schema, stage schema.Stage) sqldriver.Connector {
		cfg := driver.Config{Schema: s, KMS: wrapper}
		if s.Staged() {
			cfg.Stages = map[string]schema.Stage{"accounts": stage, "parcels": stage}
		}
		cn, err := driver.NewConnector(plain, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return cn
	}
	staged := stagedColumns("", copies)
	admin := sql.OpenDB(of(staged, copies))
	defer func() { _ = admin.Close() }()
	cells := sql.OpenDB(of(stagedColumns("_sealed", without), without))
	defer func() { _ = cells.Close() }()
	for _, step := range []struct {
		ready migrate.Ready
		pairs [][2]schema.Stage
	}{
		{migrate.ReadyCopy, [][2]schema.Stage{{without, copies}, {copies, copies}}},
		{migrate.ReadySealed, [][2]schema.Stage{{copies, sealed}, {sealed, sealed}}},
		{migrate.ReadyOnly, [][2]schema.Stage{{sealed, only}}},
		{migrate.ReadySealedOnly, [][2]schema.Stage{{only, only}}},
	} {
		if _, err := migrate.Seal(t.Context(), admin, migrate.Options{For: step.ready}); err != nil {
			t.Fatal(err)
		}
		for _, pair := range step.pairs {
			for _, p := range programs {
				if pair[0] == without && p.name == "sqlx" {
					continue // it wants a field for each column that * shows
				}
				t.Run(fmt.Sprintf("%s/%s+%s/%s", step.ready, cmp.Or(pair[0].String(), "without"), pair[1], p.name), func(t *testing.T) {
					mustExec(t, pg.Admin, "DELETE FROM accounts; DELETE FROM parcels")
					both := &inTurn{}
					if rand.IntN(2) == 1 {
						both.opened.Add(1)
						t.Log("the other one begins")
					}
					for i, stage := range pair {
						if both.programs[i] = plain; stage != without {
							both.programs[i] = of(staged, stage)
						}
					}
					db := sql.OpenDB(both)
					defer func() {
						if err := db.Close(); err != nil {
							t.Error(err)
						}
					}()
					db.SetMaxIdleConns(-1) // so that each use opens a connection
					if got := ormOutcome(t, db, newAccounts("s"), p.run); got != want[p.name] {
						t.Errorf("got\n%s\nwant, as the twin\n%s", got, want[p.name])
					}
					if n := both.opened.Load(); n < 5 {
						t.Errorf("the programs took turns %d times only", n)
					}
					if pair[1] != only {
						if got := all(pg.Admin, ofPlain); got != rows[p.name] {
							t.Errorf("the plain columns hold\n%s\nwant\n%s", got, rows[p.name])
						}
					}
					if pair[0] != without {
						got := all(cells, "SELECT id, email_sealed AS email, secret_sealed AS secret, born_sealed AS born, level_sealed AS level, city FROM accounts ORDER BY id")
						if got != rows[p.name] {
							t.Errorf("the companions hold\n%s\nwant\n%s", got, rows[p.name])
						}
					}
				})
			}
		}
	}
}
