package driver

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlplan"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The catalog that pgx reads over a real server.

const pgUsers = `CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn text, tags bytea, note text DEFAULT 'n',
	half int GENERATED ALWAYS AS (id / 2) STORED, gone int, nothing bytea DEFAULT NULL);
ALTER TABLE users DROP COLUMN gone`

// pgBench is newBench over pgx, in one exec mode.
func pgBench(t *testing.T, db *pgtest.DB, mode pgx.QueryExecMode, change ...func(*Config)) *bench {
	t.Helper()
	b := newBench(t, "full")
	cfg, err := pgx.ParseConfig(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	c := Config{Schema: b.schema, KMS: noKMS{}}
	for _, f := range change {
		f(&c)
	}
	cn, err := NewConnector(stdlib.GetConnector(*cfg), c)
	if err != nil {
		t.Fatal(err)
	}
	b.cn = cn.(*connector)
	b.cn.st.plans = b.plans
	b.cn.st.ring.ready.Store(&openRing{keySource: b.keys})
	b.db = sql.OpenDB(b.cn)
	t.Cleanup(func() { _ = b.db.Close() })
	return b
}

func (b *bench) textUse(name string) *sqlplan.Use {
	return &sqlplan.Use{Column: b.col(name), Storage: dbcatalog.StorageText}
}

var allModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

func TestPGCatalog(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		if _, err := db.Admin.Exec(pgUsers + `;
			CREATE DOMAIN cell AS bytea DEFAULT 'x'; CREATE DOMAIN cell2 AS cell;
			CREATE SCHEMA app; CREATE TABLE app."We.ird" (a cell2, b varchar(9) DEFAULT 'NULL', c int GENERATED ALWAYS AS IDENTITY, d bytea DEFAULT NULL::bytea);
			CREATE VIEW v AS SELECT email FROM users`); err != nil {
			t.Fatal(err)
		}
		for _, mode := range allModes {
			b := pgBench(t, db, mode)
			inner, err := b.cn.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			if err := inner.readSession(t.Context()); err != nil {
				t.Fatal(err)
			}
			show := func(schemaName, name string) string {
				rel, err := inner.catalog.Relation(t.Context(), schemaName, name)
				if err != nil {
					t.Fatal(err)
				}
				if rel == nil {
					return "none"
				}
				s := fmt.Sprintf("%s.%s temp=%t view=%t", rel.Schema, rel.Name, rel.Temporary, rel.View)
				for _, c := range rel.Columns {
					s += fmt.Sprintf(" %s:%s:%d:%t:%t", c.Name, c.Type, c.Storage, c.Default, c.Generated)
				}
				return s
			}
			for _, tt := range [][3]string{
				{"", "users", "public.users temp=false view=false id:bigint:3:false:false email:bytea:1:false:false ssn:text:2:false:false" +
					" tags:bytea:1:false:false note:text:2:true:false half:integer:3:false:true nothing:bytea:1:false:false"},
				{"app", "We.ird", "app.We.ird temp=false view=false a:cell2:1:true:false b:character varying(9):2:true:false c:integer:3:true:false d:bytea:1:false:false"},
				{"", "v", "public.v temp=false view=true email:bytea:1:false:false"},
				{"", "nosuch", "none"}, {"nosuch", "users", "none"}, {"", `quo"te`, "none"},
			} {
				if got := show(tt[0], tt[1]); got != tt[2] {
					t.Errorf("%s: %s.%s is %s\nwant %s", mode, tt[0], tt[1], got, tt[2])
				}
			}
			// A temporary table shadows, and a search path is followed.
			for _, q := range []string{"CREATE TEMP TABLE users (x int)", "SET search_path = app, public"} {
				if _, err := inner.ExecContext(t.Context(), q, nil); err != nil {
					t.Fatal(err)
				}
			}
			inner.after(&sqlplan.Plan{Effects: sqlplan.ChangesCatalog | sqlplan.ChangesSession}, nil)
			if err := inner.readSession(t.Context()); err != nil || !inner.session.Temporary {
				t.Fatal(inner.session, err)
			}
			if got := show("", "users"); !strings.HasPrefix(got, "pg_temp_") || !strings.Contains(got, "temp=true view=false x:integer") {
				t.Errorf("users is %s", got)
			}
			if got := show("", "We.ird"); !strings.HasPrefix(got, "app.") {
				t.Errorf("We.ird is %s", got)
			}
		}
	})
}
