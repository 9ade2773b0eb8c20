package keylife

import (
	"bytes"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// Each table has one rule, and open none.
var ruled = func() *schema.Schema {
	cols := []schema.Column{{Name: "mail", Mode: schema.ModeDeterministic}, {Name: "body"}}
	return schema.Must(schema.Scoped(schema.Columns("tenants", cols...)), schema.Unscoped(schema.Columns("shared", cols...)), schema.Columns("open", cols...))
}()

// scopedStatements seal or search, each in another way. %s is a table.
var scopedStatements = map[string][]any{
	"INSERT INTO %s (id, mail, body) VALUES (1, $1, $2)":               {"a", "b"},
	"INSERT INTO %s (id, mail) VALUES (2, 'literal')":                  nil,
	"INSERT INTO %s (id, body) VALUES (3, $1)":                         {nil},
	"UPDATE %s SET body = $1 WHERE id = 1":                             {"c"},
	"DELETE FROM %s WHERE mail = $1":                                   {"a"},
	"UPDATE %s SET id = 4 WHERE mail = 'literal' AND body IS NOT NULL": nil,
}

// freeStatements need no scope, and are fine under any.
var freeStatements = []string{
	"INSERT INTO %s (id) VALUES (9)",
	"SELECT count(*) FROM %s WHERE id = 9",
	"SELECT id, mail, body FROM %s",
	"SELECT x.id FROM %[1]s x JOIN %[1]s y ON x.mail = y.mail",
	"DELETE FROM %s WHERE id = 9",
}

// tryScopes runs every statement on a table in two ways, without a scope and under one, and compares with what is allowed.
func tryScopes(t *testing.T, db *sql.DB, table string, without, under bool) {
	t.Helper()
	for scope, allowed := range map[string]bool{"": without, "tenant:42": under} {
		ctx := keyring.WithScope(t.Context(), scope)
		for query, args := range scopedStatements {
			query = fmt.Sprintf(query, table)
			_, direct := db.ExecContext(ctx, query, args...)
			st, err := db.PrepareContext(t.Context(), query)
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			_, _ = db.ExecContext(t.Context(), "DELETE FROM "+table+" WHERE id < 9")
			_, prepared := st.ExecContext(ctx, args...)
			_ = st.Close()
			for how, err := range map[string]error{"direct": direct, "prepared": prepared} {
				refusal, isRefusal := errors.AsType[*driver.QueryError](err)
				if allowed != (err == nil) || !allowed && (!isRefusal || !errors.Is(err, driver.ErrRefused) || refusal.Class != "scope" || refusal.Table != table || refusal.Hint == "") {
					t.Errorf("scope %q, %s, %s: allowed %v, %v", scope, query, how, allowed, err)
				}
			}
		}
		for _, query := range freeStatements {
			rows, err := db.QueryContext(ctx, fmt.Sprintf(query, table))
			if err == nil {
				for rows.Next() {
				}
				err = errors.Join(rows.Err(), rows.Close())
			}
			if err != nil {
				t.Errorf("scope %q: %s: %v", scope, fmt.Sprintf(query, table), err)
			}
		}
	}
}

func tryPolicies(t *testing.T, open func(driver.Config) *sql.DB) {
	t.Helper()
	for _, c := range []struct {
		policy         driver.ScopePolicy
		without, under bool
	}{{driver.ScopesOptional, true, true}, {driver.ScopesRequired, false, true}, {driver.ScopesNever, true, false}} {
		db := open(driver.Config{Scopes: c.policy})
		tryScopes(t, db, "open", c.without, c.under)
		tryScopes(t, db, "tenants", false, true)
		tryScopes(t, db, "shared", true, false)
		_ = db.Close()
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestScopePolicies(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		for _, table := range []string{"tenants", "shared", "open"} {
			w.exec(t, "CREATE TABLE "+table+" (id int, mail bytea, body bytea)")
		}
		config := must[*pgx.ConnConfig](t)(pgx.ParseConfig(pg.DSN()))
		complete := func(cfg driver.Config) driver.Config {
			cfg.Schema, cfg.KMS = ruled, awskms.New(w.kms.Client(t), alias)
			return cfg
		}
		tryPolicies(t, func(cfg driver.Config) *sql.DB {
			return sql.OpenDB(must[sqldriver.Connector](t)(driver.NewConnector(stdlib.GetConnector(*config), complete(cfg))))
		})
		// COPY and pgx's own interface go the same way.
		db := sql.OpenDB(must[sqldriver.Connector](t)(driver.NewConnector(stdlib.GetConnector(*config), complete(driver.Config{}))))
		defer func() { _ = db.Close() }()
		conn := must[*sql.Conn](t)(db.Conn(t.Context()))
		defer func() { _ = conn.Close() }()
		native := must[*pgxseal.Conn](t)(pgxseal.ConnectConfig(t.Context(), config, complete(driver.Config{})))
		defer func() { _ = native.Close(t.Context()) }()
		for table, allowed := range map[string]map[string]bool{"tenants": {"": false, "x": true}, "shared": {"": true, "x": false}} {
			for scope, want := range allowed {
				ctx := keyring.WithScope(t.Context(), scope)
				_, copied := driver.CopyFrom(ctx, conn, table, []string{"id", "mail"}, [][]any{{1, "a"}})
				_, exec := native.Exec(ctx, "INSERT INTO "+table+" (id, mail) VALUES (1, $1)", "a")
				_, nativeCopy := native.CopyFrom(ctx, pgx.Identifier{table}, []string{"id", "mail"}, pgx.CopyFromRows([][]any{{1, "a"}}))
				batch := &pgx.Batch{}
				batch.Queue("INSERT INTO "+table+" (id, mail) VALUES (1, $1)", "a")
				batched := native.SendBatch(ctx, batch).Close()
				for how, err := range map[string]error{"driver.CopyFrom": copied, "Exec": exec, "CopyFrom": nativeCopy, "SendBatch": batched} {
					if want != (err == nil) || !want && !errors.Is(err, driver.ErrRefused) {
						t.Errorf("%s, scope %q, %s: allowed %v, %v", table, scope, how, want, err)
					}
				}
			}
		}
		var found []string
		for _, f := range must[[]dbcheck.Finding](t)(dbcheck.Run(t.Context(), db)) {
			if f.Rule == "scope" {
				found = append(found, f.Table)
			}
		}
		if fmt.Sprint(found) != "[open]" {
			t.Errorf("the audit finds %v", found)
		}
		// Optional is loud: in a keyring that has scopes, to seal without one is told.
		var log syncBuffer
		loud := sql.OpenDB(must[sqldriver.Connector](t)(driver.NewConnector(stdlib.GetConnector(*config), complete(driver.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}))))
		defer func() { _ = loud.Close() }()
		for _, table := range []string{"shared", "open", "open"} { // the first look at the keyring tells of its scopes
			must[sql.Result](t)(loud.ExecContext(t.Context(), "INSERT INTO "+table+" (id, mail) VALUES (1, $1)", "a"))
		}
		if s := log.String(); !strings.Contains(s, "colseal.scope.missing") || !strings.Contains(s, "table=open column=mail") || strings.Contains(s, "table=shared column") {
			t.Error(s)
		}
	})
}

func TestScopePoliciesOnSQLite(t *testing.T) {
	server := kmstest.Start(t)
	server.CreateKey(kmstest.Alias(alias))
	file := filepath.Join(t.TempDir(), "app.db") + "?_pragma=busy_timeout(5000)"
	plain := must[*sql.DB](t)(sql.Open("sqlite", file))
	defer func() { _ = plain.Close() }()
	for _, table := range []string{"tenants", "shared", "open"} {
		must[sql.Result](t)(plain.Exec("CREATE TABLE " + table + " (id INTEGER, mail BLOB, body BLOB)"))
	}
	n := 0
	tryPolicies(t, func(cfg driver.Config) *sql.DB {
		n++
		cfg.Driver, cfg.Schema, cfg.KMS, cfg.Dialect, cfg.AutoCreateKeyTable = &sqlite.Driver{}, ruled, awskms.New(server.Client(t), alias), driver.DialectSQLite, true
		name := fmt.Sprint("scopes", n)
		driver.Register(name, cfg)
		return must[*sql.DB](t)(sql.Open(name, file))
	})
}
