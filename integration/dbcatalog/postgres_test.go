// Package dbcatalog_test reads real PostgreSQL catalogs by internal/dbcatalog.
package dbcatalog_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// querier runs statements on a connection of any driver.
type querier struct{ conn *sql.Conn }

func (q querier) Query(ctx context.Context, query string, params ...driver.Value) ([]dbcatalog.Row, error) {
	args := make([]any, len(params))
	for i, p := range params {
		args[i] = p
	}
	rows, err := q.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []dbcatalog.Row
	for rows.Next() {
		row, dest := make(dbcatalog.Row, len(names)), make([]any, len(names))
		for i := range row {
			dest[i] = (*any)(&row[i])
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

func (q querier) Exec(ctx context.Context, query string, params ...driver.Value) (int64, error) {
	return 0, fmt.Errorf("nothing is to be executed here: %s", query)
}

func TestPostgres(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		if _, err := server.Admin.Exec(`CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn text, tags bytea, note text DEFAULT 'n',
				half int GENERATED ALWAYS AS (id / 2) STORED, gone int, nothing bytea DEFAULT NULL);
			ALTER TABLE users DROP COLUMN gone;
			CREATE DOMAIN cell AS bytea DEFAULT 'x'; CREATE DOMAIN cell2 AS cell;
			CREATE SCHEMA app; CREATE TABLE app."We.ird" (a cell2, b varchar(9) DEFAULT 'NULL', c int GENERATED ALWAYS AS IDENTITY, d bytea DEFAULT NULL::bytea);
			CREATE VIEW v AS SELECT email FROM users`); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
			pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
		} {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) { testPostgres(t, server, mode) })
		}
	})
}

func testPostgres(t *testing.T, server *pgtest.DB, mode pgx.QueryExecMode) {
	cfg, err := pgx.ParseConfig(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	q := querier{conn}
	session := func() dbcatalog.Session {
		t.Helper()
		s, err := dbcatalog.ReadSession(t.Context(), q, dialect.Postgres)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	show := func(schemaName, name string) string {
		t.Helper()
		rel, _, err := dbcatalog.ReadRelation(t.Context(), q, dialect.Postgres, schemaName, name)
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
			t.Errorf("%s.%s is %s\nwant %s", tt[0], tt[1], got, tt[2])
		}
	}
	before := session()
	if before.Temporary || before.NonStdText {
		t.Errorf("a new session is %+v", before)
	}
	// What is left of a temporary table that is gone makes no difference.
	if _, err := conn.ExecContext(t.Context(), "CREATE TEMP TABLE users (x int)"); err != nil {
		t.Fatal(err)
	}
	if during := session(); !during.Temporary || during.Path == before.Path {
		t.Errorf("with a temporary table the session is %+v", during)
	}
	if _, err := conn.ExecContext(t.Context(), "DROP TABLE pg_temp.users"); err != nil {
		t.Fatal(err)
	}
	if after := session(); after != before {
		t.Errorf("after a temporary table was dropped the session is %+v, want %+v", after, before)
	}
	// A temporary table shadows, and a search path is followed.
	statements := []string{"CREATE TEMP TABLE users (x int)", "SET search_path = app, public"}
	nonStdText := mode != pgx.QueryExecModeSimpleProtocol // in which pgx insists on the standard
	if nonStdText {
		statements = append(statements, "SET standard_conforming_strings = off")
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if after := session(); !after.Temporary || after.NonStdText != nonStdText || after.Path == before.Path || after.Setting != "app, public" {
		t.Errorf("the session is %+v, and was %+v", after, before)
	}
	if got := show("", "users"); !strings.HasPrefix(got, "pg_temp_") || !strings.Contains(got, "temp=true view=false x:integer") {
		t.Errorf("users is %s", got)
	}
	if got := show("", "We.ird"); !strings.HasPrefix(got, "app.") {
		t.Errorf("We.ird is %s", got)
	}
}

// No server before 18 reports the search path, which sessions do not look at there.
func TestSearchPathIsReportedFrom18(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		conn, err := pgx.Connect(t.Context(), server.DSN())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		reported := func() bool { return conn.PgConn().ParameterStatus("search_path") != "" }
		begun := reported()
		if _, err := conn.Exec(t.Context(), "SET search_path = pg_catalog"); err != nil {
			t.Fatal(err)
		}
		if since18 := server.Version >= 18; begun != since18 || reported() != since18 {
			t.Errorf("PostgreSQL %d: reported %t at first, then %t", server.Version, begun, reported())
		}
	})
}
