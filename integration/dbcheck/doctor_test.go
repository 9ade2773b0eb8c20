package dbcheck

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/schema"
)

// patient is a healthy system.
type patient struct {
	*pgtest.DB
	service *kmstest.Server
	kek     string
	wrapper kms.Wrapper
	options dbcheck.Options
}

// healthy makes a database with rows, keys and backstops.
func healthy(t *testing.T, db *pgtest.DB) *patient {
	t.Helper()
	server := kmstest.Start(t)
	p := &patient{DB: db, service: server, kek: server.CreateKey()}
	p.wrapper = awskms.New(server.Client(t), p.kek)
	p.options.KMS = p.wrapper
	run(t, db.Admin, tables)
	run(t, db.Admin, statements(t, ddl.Options{})+"CREATE ROLE "+db.Name)
	t.Cleanup(func() {
		if _, err := db.Admin.Exec("DROP OWNED BY " + db.Name + "; DROP ROLE " + db.Name); err != nil {
			t.Error(err)
		}
	})
	sealed := p.open(t)
	for i := range 3 {
		if _, err := sealed.Exec(insertUser, i, fmt.Sprintf("canary%d@example.com", i), "canary", "2001-02-03T00:00:00Z"); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// open opens the database as a program does that starts now.
func (p *patient) open(t *testing.T, dsn ...string) *sql.DB {
	t.Helper()
	pg, err := pgx.ParseConfig(append(dsn, p.DSN())[0])
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), driver.Config{Schema: sealedSchema, KMS: p.wrapper})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// expect runs doctor and compares "severity rule where" of what it finds.
func (p *patient) expect(t *testing.T, want []string, dsn ...string) {
	t.Helper()
	db := p.open(t, dsn...)
	defer func() { _ = db.Close() }()
	found, err := dbcheck.System(t.Context(), db, p.options)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, strings.TrimSpace(f.Severity.String()+" "+f.Rule+" "+f.Where()))
		if f.What == "" || f.Hint == "" || strings.Contains(f.String(), "canary") {
			t.Errorf("the finding is incomplete, or holds a value: %s", f)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// rotate makes a second search key, which is old, and returns the first and what takes it away again.
func (p *patient) rotate(t *testing.T, age string) (first string, undo func()) {
	t.Helper()
	store := keyring.OpenStore(p.Admin, keyring.DialectPostgres, "")
	k, err := keyring.NewAdmin(store, p.wrapper, keyring.AdminConfig{}).Rotate(t.Context(), keyring.PurposeSearch, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, p.Admin, "UPDATE colseal_keys SET created_at = created_at - interval '"+age+"', seals_from = seals_from - interval '"+age+"' WHERE purpose <> 'keyring'")
	var old int64
	if err := p.Admin.QueryRow("SELECT key_id FROM colseal_keys WHERE purpose = 'search' ORDER BY epoch LIMIT 1").Scan(&old); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%08x", old), func() { run(t, p.Admin, fmt.Sprintf("DELETE FROM colseal_keys WHERE key_id = %d", k.ID)) }
}

// ailments are what doctor finds beside what the audit does. ROLE and DATABASE stand for names.
var ailments = []struct {
	name, plant, undo string
	want              []string
}{
	{"keyring grants", "GRANT DELETE, TRUNCATE ON colseal_keys TO ROLE; GRANT SELECT ON colseal_keys TO PUBLIC", "REVOKE ALL ON colseal_keys FROM ROLE, PUBLIC",
		[]string{"warning keyring-grants colseal_keys (ROLE)", "danger keyring-grants colseal_keys (PUBLIC)"}},
	{"grants as documented", "GRANT SELECT, INSERT, UPDATE ON colseal_keys TO ROLE", "REVOKE ALL ON colseal_keys FROM ROLE", nil},
	{"keys that are missing", "CREATE TABLE saved AS SELECT * FROM colseal_keys WHERE purpose = 'data'; DELETE FROM colseal_keys WHERE purpose = 'data'",
		"INSERT INTO colseal_keys SELECT * FROM saved; DROP TABLE saved", []string{"danger missing-key users.Born On", "danger missing-key users.ssn"}},
	{"a row that is no key", "UPDATE colseal_keys SET epoch = 3 WHERE purpose = 'data'", "UPDATE colseal_keys SET epoch = 1 WHERE purpose = 'data'",
		[]string{"danger key colseal_keys (DATA)"}},
	{"a keyring without its id", "CREATE TABLE saved AS SELECT * FROM colseal_keys WHERE purpose = 'keyring'; DELETE FROM colseal_keys WHERE purpose = 'keyring'",
		"INSERT INTO colseal_keys SELECT * FROM saved; DROP TABLE saved", []string{"danger keyring colseal_keys"}},
	{"a table in two schemas", "CREATE SCHEMA other; CREATE TABLE other.users (LIKE users INCLUDING ALL); ALTER DATABASE DATABASE SET search_path = public, other",
		"DROP SCHEMA other CASCADE; ALTER DATABASE DATABASE RESET search_path", []string{"warning search-path users"}},
	{"a schema that is not in the path", "ALTER DATABASE DATABASE SET search_path = app", "ALTER DATABASE DATABASE RESET search_path",
		[]string{"danger key-table colseal_keys", "warning search-path found", "warning search-path users", "warning search-path user_mails"}},
	{"a schema where all may create", "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", []string{"warning search-path (schema public)"}},
	{"all statements are logged", "ALTER DATABASE DATABASE SET log_statement = 'all'", "ALTER DATABASE DATABASE RESET log_statement", []string{"warning statement-log (log_statement)"}},
	{"DDL is logged", "ALTER DATABASE DATABASE SET log_statement = 'ddl'", "ALTER DATABASE DATABASE RESET log_statement", nil},
	{"slow statements are logged", "ALTER DATABASE DATABASE SET log_min_duration_statement = '1s'", "ALTER DATABASE DATABASE RESET log_min_duration_statement",
		[]string{"warning statement-log (log_min_duration_statement)"}},
	{"some slow statements are logged", "ALTER DATABASE DATABASE SET log_min_duration_sample = '1s'", "ALTER DATABASE DATABASE RESET log_min_duration_sample",
		[]string{"warning statement-log (log_min_duration_sample)"}},
	{"some transactions are logged", "ALTER DATABASE DATABASE SET log_transaction_sample_rate = 0.1", "ALTER DATABASE DATABASE RESET log_transaction_sample_rate",
		[]string{"warning statement-log (log_transaction_sample_rate)"}},
	{"parameters of errors are logged", "ALTER DATABASE DATABASE SET log_parameter_max_length_on_error = 64", "ALTER DATABASE DATABASE RESET log_parameter_max_length_on_error",
		[]string{"warning statement-log (log_parameter_max_length_on_error)"}},
	{"trees are logged", "ALTER DATABASE DATABASE SET debug_print_parse = on; ALTER DATABASE DATABASE SET debug_print_rewritten = on; ALTER DATABASE DATABASE SET debug_print_plan = on",
		"ALTER DATABASE DATABASE RESET ALL",
		[]string{"warning statement-log (debug_print_parse)", "warning statement-log (debug_print_plan)", "warning statement-log (debug_print_rewritten)"}},
	{"extensions log", "ALTER DATABASE DATABASE SET auto_explain.log_min_duration = 0; ALTER DATABASE DATABASE SET pgaudit.log = 'write, ddl'", "ALTER DATABASE DATABASE RESET ALL",
		[]string{"warning statement-log (auto_explain.log_min_duration)", "warning statement-log (pgaudit.log)"}},
	{"a key from the future", "UPDATE colseal_keys SET created_at = created_at + interval '1 h' WHERE purpose = 'search'", "UPDATE colseal_keys SET created_at = created_at - interval '1 h' WHERE purpose = 'search'",
		[]string{"danger clock colseal_keys"}},
	{"a big table without indexes", "INSERT INTO app.leads (id) SELECT generate_series(1, 20000); ANALYZE app.leads", "TRUNCATE app.leads; ANALYZE app.leads",
		[]string{"warning no-index app.leads.age", "warning no-index app.leads.email", "warning unused-index app.leads.phone (leads_phone_idx)"}},
	{"a big table with indexes that are used", "INSERT INTO app.leads (id) SELECT generate_series(1, 20000); CREATE INDEX mail ON app.leads (email); CREATE INDEX age ON app.leads (age); ANALYZE app.leads;" +
		"SET LOCAL enable_seqscan = off; SELECT id FROM app.leads WHERE email = 'x'; SELECT id FROM app.leads WHERE age > 'x'; SELECT id FROM app.leads WHERE phone = 'x'; SELECT pg_stat_force_next_flush()",
		"DROP INDEX app.mail, app.age; TRUNCATE app.leads; ANALYZE app.leads", nil},
}

// TestDoctor plants what the audit finds, and what is wrong with a running system, one by one.
func TestDoctor(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		t.Parallel() // most of the time is spent waiting
		p := healthy(t, db)
		p.expect(t, nil)
		backstop := statements(t, ddl.Options{})
		var data int64
		if err := db.Admin.QueryRow("SELECT key_id FROM colseal_keys WHERE purpose = 'data'").Scan(&data); err != nil {
			t.Fatal(err)
		}
		names := strings.NewReplacer("ROLE", db.Name, "DATABASE DATABASE", "DATABASE "+db.Name, "DATA)", fmt.Sprintf("%08x)", data))
		for _, a := range ailments {
			t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) {
				run(t, db.Admin, names.Replace(a.plant))
				want := make([]string, len(a.want))
				for i, w := range a.want {
					want[i] = names.Replace(w)
				}
				p.expect(t, want)
				run(t, db.Admin, names.Replace(a.undo))
				p.expect(t, nil)
			})
		}
		for _, name := range []string{"trigger", "view that computes with cells", "function that names a column", "wrong type", "no check", "check that is not valid", "plaintext", "missing table"} {
			i := slices.IndexFunc(plants, func(p struct {
				name, plant, undo string
				want              []string
			}) bool {
				return p.name == name
			})
			t.Run("audit-"+strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
				was := plants[i]
				run(t, db.Admin, strings.ReplaceAll(was.plant, "NOTVALID", notValidEmail()))
				var want []string
				for _, w := range was.want { // "severity rule where object", and where may have blanks
					severity, rest, _ := strings.Cut(w, " ")
					rule, rest, _ := strings.Cut(rest, " ")
					at := strings.LastIndex(rest, " ")
					want = append(want, dbcheckWhere(severity, rule, rest[:at], rest[at+1:]))
				}
				p.expect(t, want)
				if was.undo != "" {
					run(t, db.Admin, was.undo)
				}
				run(t, db.Admin, backstop)
			})
		}
	})
}

func dbcheckWhere(severity, rule, where, object string) string {
	if object != "" {
		object = " (" + object + ")"
	}
	return severity + " " + rule + " " + where + object
}

// TestDoctorOfKeys plants what is wrong with keys and their service.
func TestDoctorOfKeys(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		p := healthy(t, db)
		p.expect(t, nil)
		arn := p.keyARN(t)
		t.Run("disabled", func(t *testing.T) {
			p.service.SetState(p.kek, kmstest.StateDisabled)
			p.expect(t, []string{"danger kms"})
			p.service.SetState(p.kek, kmstest.StateEnabled)
		})
		t.Run("unreachable", func(t *testing.T) {
			lift := p.service.Break(kmstest.OutageRefused)
			p.expect(t, []string{"danger kms"})
			lift()
		})
		for op, want := range map[string]string{"Decrypt": "danger kms (" + arn + ")", "GenerateDataKey": "danger kms"} {
			t.Run("may not "+op, func(t *testing.T) {
				lift := p.service.Deny(p.kek, op)
				p.expect(t, []string{want})
				lift()
			})
		}
		t.Run("inboxes", func(t *testing.T) {
			admin := keyring.NewAdmin(keyring.OpenStore(p.Admin, keyring.DialectPostgres, ""), p.wrapper, keyring.AdminConfig{})
			var ids []uint32
			for range 2 {
				k, err := admin.Inbox(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, k.ID)
			}
			run(t, p.Admin, fmt.Sprintf("INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, wrapped_to, seals_reserved) VALUES (77, 'writer', '', 77, '', 'x', %d, 9)", ids[0]))
			p.expect(t, nil) // a writer's key is under no KEK
			run(t, p.Admin, fmt.Sprintf("UPDATE colseal_keys SET public = (SELECT public FROM colseal_keys WHERE key_id = %d) WHERE key_id = %d", ids[0], ids[1]))
			p.expect(t, []string{fmt.Sprintf("danger inbox colseal_keys (%08x)", ids[1])})
			run(t, p.Admin, "DELETE FROM colseal_keys WHERE purpose IN ('inbox', 'writer')")
		})
		t.Run("not asked", func(t *testing.T) {
			p.options.KMS = nil
			p.expect(t, []string{"warning unreadable (key service)"})
			p.options.KMS = p.wrapper
		})
		p.expect(t, nil)
		t.Run("a change of search keys", func(t *testing.T) {
			_, undo := p.rotate(t, "1 day")
			p.expect(t, nil)
			undo()
		})
		t.Run("a change of search keys that nobody ended", func(t *testing.T) {
			first, undo := p.rotate(t, "8 days")
			p.expect(t, []string{"warning search-keys colseal_keys (" + first + ")"})
			undo()
		})
		t.Run("clocks", func(t *testing.T) {
			p.options.MaxSkew = time.Nanosecond // no two clocks are that close
			p.expect(t, []string{"warning clock"})
			p.options.MaxSkew = 0
		})
		p.expect(t, nil)
	})
}

// keyARN returns the name of the key encryption key as the keyring has it.
func (p *patient) keyARN(t *testing.T) string {
	t.Helper()
	var kek string
	if err := p.Admin.QueryRow("SELECT kek_id FROM colseal_keys WHERE purpose = 'data'").Scan(&kek); err != nil {
		t.Fatal(err)
	}
	return kek
}

// TestDoctorOfAuditor looks with roles that may read the keyring alone, and not even that.
func TestDoctorOfAuditor(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		p := healthy(t, db)
		run(t, db.Admin, "ALTER ROLE "+db.Name+" LOGIN PASSWORD 'auditor'; GRANT SELECT ON colseal_keys TO "+db.Name+"; GRANT USAGE ON SCHEMA colseal TO "+db.Name)
		as, err := url.Parse(db.DSN())
		if err != nil {
			t.Fatal(err)
		}
		as.User = url.UserPassword(db.Name, "auditor")
		columns := []string{"warning unreadable app.leads.age", "warning unreadable app.leads.email", "warning unreadable app.leads.phone",
			"warning unreadable found.Full Name", "warning unreadable users.Born On", "warning unreadable users.email", "warning unreadable users.ssn"}
		p.expect(t, columns, as.String())
		run(t, db.Admin, "ALTER TABLE users DROP CONSTRAINT colseal_email_check; DELETE FROM colseal_keys WHERE purpose = 'data'")
		p.expect(t, append(columns, "warning no-check users.email (colseal_email_check)"), as.String())
		run(t, db.Admin, "REVOKE SELECT ON colseal_keys FROM "+db.Name)
		p.expect(t, []string{"warning no-check users.email (colseal_email_check)", "warning unreadable users.email", "warning unreadable colseal_keys"}, as.String())
	})
}

// TestDoctorOfPooler looks through a PgBouncer that pools transactions.
func TestDoctorOfPooler(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		p := healthy(t, db)
		dsn := db.Pooled(t, 4)
		p.expect(t, []string{"danger pooler", "warning unreadable"}, dsn)
		p.expect(t, nil, dsn+"&default_query_exec_mode=exec")
	})
}

// The index and the function that `colseal ddl` makes for a column with fold are in order.
func TestDoctorOfFold(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		type person struct {
			Nick string `db:"nick" seal:"deterministic,fold"`
		}
		people := schema.Must(schema.Model("people", person{}))
		text, err := ddl.Write(people, ddl.Options{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, db.Admin, "CREATE TABLE people (id bigserial, nick bytea)")
		run(t, db.Admin, text+"INSERT INTO people (nick) SELECT NULL FROM generate_series(1, 20000); ANALYZE people")
		run(t, db.Admin, "SET LOCAL enable_seqscan = off; SELECT FROM people WHERE colseal.fold1(nick) = 'x'; SELECT pg_stat_force_next_flush()")
		sealed := open(t, db, func(cfg *driver.Config) { cfg.Schema = people })
		look := func(want ...string) {
			t.Helper()
			found, err := dbcheck.System(context.WithoutCancel(t.Context()), sealed, dbcheck.Options{})
			if err != nil || len(found) != len(want)+1 || found[len(want)].Rule != "unreadable" {
				t.Fatalf("found %v, %v", found, err)
			}
			for i, rule := range want {
				if found[i].Rule != rule {
					t.Errorf("found %v, want %v", found, want)
				}
			}
		}
		look()
		run(t, db.Admin, "CREATE INDEX wrong ON people (colseal.fold1(pg_catalog.substr(nick, 1, 50)))")
		look("expression-index")
	})
}
