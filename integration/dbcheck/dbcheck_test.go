package dbcheck

import (
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/schema"
)

const noop = `CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';`

// plants are what the audit must find: each is planted in a clean database, found, and taken away again. want is
// "severity rule table[.column] object"; each must be found, and nothing else.
var plants = []struct {
	name, plant, undo string
	want              []string
}{
	{"trigger", noop + "CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION noop()", "DROP FUNCTION noop CASCADE",
		[]string{"warning trigger users t"}},
	{"trigger that names a column",
		`CREATE FUNCTION low() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := lower(NEW.email::text)::bytea; RETURN NEW; END';
		CREATE TRIGGER t BEFORE INSERT ON app.leads FOR EACH ROW EXECUTE FUNCTION low()`, "DROP FUNCTION low CASCADE",
		[]string{"danger trigger app.leads t"}},
	{"generated column", "ALTER TABLE users ADD domain int GENERATED ALWAYS AS (octet_length(email)) STORED", "ALTER TABLE users DROP domain",
		[]string{"danger generated users.email column domain of table users"}},
	{"expression index", "CREATE INDEX x ON users (md5(email))", "DROP INDEX x", []string{"danger expression-index users.email x"}},
	{"partial index", "CREATE INDEX x ON users (id) WHERE ssn > 'm'", "DROP INDEX x", []string{"danger expression-index users.ssn x"}},
	{"index for nulls", "CREATE INDEX x ON users (id) WHERE ssn IS NOT NULL", "DROP INDEX x", nil},
	{"index over a randomized column", `CREATE INDEX x ON users ("Born On")`, "DROP INDEX x", []string{"warning index users.Born On x"}},
	{"index of a useless kind", "CREATE INDEX x ON users USING brin (email)", "DROP INDEX x", []string{"warning index users.email x"}},
	{"unique over a randomized column", "ALTER TABLE users ADD CONSTRAINT x UNIQUE (ssn)", "ALTER TABLE users DROP CONSTRAINT x", []string{"danger unique users.ssn x"}},
	{"included column", "CREATE INDEX x ON users (id) INCLUDE (ssn)", "DROP INDEX x", nil},
	{"default", "ALTER TABLE users ALTER email SET DEFAULT 'x'", "ALTER TABLE users ALTER email DROP DEFAULT", []string{"danger default users.email "}},
	{"null default", "ALTER TABLE users ALTER email SET DEFAULT NULL", "ALTER TABLE users ALTER email DROP DEFAULT", nil},
	{"rule", "CREATE RULE r AS ON DELETE TO users DO ALSO NOTIFY x", "DROP RULE r ON users", []string{"danger rule users r"}},
	{"rule elsewhere", "CREATE TABLE log (x bytea); CREATE RULE r AS ON DELETE TO log DO ALSO INSERT INTO log SELECT email FROM users", "DROP TABLE log",
		[]string{"danger rule users.email r on log"}},
	{"view that can be read through", "CREATE VIEW v AS SELECT count(email), max(id) FROM users", "DROP VIEW v", nil},
	{"view that computes with cells", "CREATE VIEW v AS SELECT md5(email) AS m FROM users", "DROP VIEW v", []string{"danger view users.email v"}},
	{"materialized view", "CREATE MATERIALIZED VIEW app.v AS SELECT * FROM app.leads WHERE phone = 'x'", "DROP MATERIALIZED VIEW app.v",
		[]string{"danger view app.leads.age app.v", "danger view app.leads.email app.v", "danger view app.leads.phone app.v"}},
	{"view of whole rows", "CREATE VIEW v AS SELECT id, to_json(u) AS j FROM users u", "DROP VIEW v", []string{"danger view users v"}},
	{"view of plain columns", "CREATE VIEW v AS SELECT count(*) AS n, sum(id) AS s FROM users u", "DROP VIEW v", nil},
	{"view of a registered view", "CREATE VIEW v AS SELECT email FROM user_mails", "DROP VIEW v", nil},
	{"function", "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'", "DROP FUNCTION f", []string{"warning function users f()"}},
	{"function that names a column", "CREATE FUNCTION f(text) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT id FROM Users WHERE email = $1::bytea); END'",
		"DROP FUNCTION f", []string{"danger function users f(text)"}},
	{"function with a parsed body", "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(ssn) FROM users; END", "DROP FUNCTION f",
		[]string{"danger function users.ssn function f()"}},
	{"policy", "CREATE POLICY p ON users USING (email IS NOT NULL AND email > 'a')", "DROP POLICY p ON users", []string{"danger policy users.email policy p on table users"}},
	{"wrong type", "DROP VIEW user_mails; ALTER TABLE users DROP COLUMN ssn, ADD COLUMN ssn integer; CREATE VIEW user_mails AS SELECT id, email, ssn, \"Born On\" FROM users",
		"DROP VIEW user_mails; ALTER TABLE users DROP COLUMN ssn, ADD COLUMN ssn varchar; CREATE VIEW user_mails AS SELECT id, email, ssn, \"Born On\" FROM users",
		[]string{"danger type user_mails.ssn ", "danger type users.ssn "}},
	{"short varchar", "ALTER TABLE app.leads ALTER phone TYPE varchar(20)", "ALTER TABLE app.leads ALTER phone TYPE text", []string{"warning type app.leads.phone "}},
	{"coarse statistics", "ALTER TABLE app.leads ALTER age SET STATISTICS 100", "ALTER TABLE app.leads ALTER age SET STATISTICS 200", []string{"warning statistics app.leads.age "}},
	{"terms index", `CREATE INDEX x ON found USING gin (colseal.terms1("Full Name")); CREATE INDEX y ON found (colseal.fold1("Full Name"), id)`, "DROP INDEX x, y", nil},
	{"no terms index", `ALTER INDEX "colseal_found_Full Name_terms" RENAME TO x; DROP INDEX x, "colseal_found_Full Name_fold"; CREATE INDEX y ON found (colseal.terms1("Full Name"))`,
		`DROP INDEX y; CREATE INDEX "colseal_found_Full Name_terms" ON found USING gin (colseal.terms1("Full Name")); CREATE INDEX "colseal_found_Full Name_fold" ON found (colseal.fold1("Full Name"))`,
		[]string{"warning fold-index found.Full Name ", "warning terms-index found.Full Name "}},
	{"index over terms of another", `CREATE INDEX x ON users (colseal.fold1(email))`, "DROP INDEX x", []string{"danger expression-index users.email x"}},
	{"another terms1", `CREATE OR REPLACE FUNCTION colseal.terms1(cell bytea) RETURNS tsvector LANGUAGE sql IMMUTABLE RETURN ''::tsvector`, "DROP FUNCTION colseal.terms1 CASCADE", []string{"danger search-function  colseal.terms1"}},
	{"no fold1", `DROP FUNCTION colseal.fold1 CASCADE`, "", []string{"danger search-function  colseal.fold1", "warning fold-index found.Full Name "}},
	{"ordered as text", "ALTER TABLE app.leads DROP age, ADD age text", "ALTER TABLE app.leads DROP age, ADD age bytea",
		[]string{"danger type app.leads.age ", "warning no-check app.leads.age colseal_age_check"}},
	{"no check", "ALTER TABLE users DROP CONSTRAINT colseal_email_check", "", []string{"warning no-check users.email colseal_email_check"}},
	{"check of another column", "ALTER TABLE users DROP CONSTRAINT colseal_email_check, ADD CONSTRAINT colseal_email_check CHECK (substr(email, 1, 4) <> '\\x01020000')", "",
		[]string{"warning no-check users.email colseal_email_check"}},
	{"check that is not valid", "UPDATE users SET email = email; ALTER TABLE users DROP CONSTRAINT colseal_email_check; NOTVALID", "", []string{"warning check-not-valid users.email colseal_email_check"}},
	{"check of the values", "ALTER TABLE users ADD CONSTRAINT x CHECK (octet_length(email) > 3)", "ALTER TABLE users DROP CONSTRAINT x", []string{"warning check users.email x"}},
	{"null check", "ALTER TABLE users ADD CONSTRAINT x CHECK (id = 0 OR email IS NOT NULL OR ssn IS NULL)", "ALTER TABLE users DROP CONSTRAINT x", nil},
	{"plaintext", "ALTER TABLE users DROP CONSTRAINT colseal_email_check; INSERT INTO users (id, email) VALUES (7, 'canary'), (8, NULL)", "DELETE FROM users",
		[]string{"danger plaintext users.email ", "warning no-check users.email colseal_email_check"}},
	{"missing table", "ALTER TABLE app.leads RENAME TO contacts", "ALTER TABLE app.contacts RENAME TO leads", []string{"danger missing-table app.leads "}},
	{"missing column", "ALTER TABLE app.leads RENAME phone TO tel", "ALTER TABLE app.leads RENAME tel TO phone", []string{"danger missing-column app.leads.phone "}},
	{"child", "CREATE TABLE kids () INHERITS (users)", "DROP TABLE kids", nil},
	{"partitions", "CREATE TABLE p (id bigint, email bytea, phone text, age bytea) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); " +
		"CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (9) TO (99); ALTER TABLE app.leads RENAME TO was; ALTER TABLE p SET SCHEMA app; ALTER TABLE app.p RENAME TO leads; BACKSTOP",
		"DROP TABLE app.leads; ALTER TABLE app.was RENAME TO leads", nil},
	{"parent", "CREATE TABLE folk (id bigint); ALTER TABLE app.leads ALTER id SET NOT NULL; ALTER TABLE app.leads INHERIT folk", "ALTER TABLE app.leads NO INHERIT folk; DROP TABLE folk",
		[]string{"danger inheritance app.leads folk"}},
	{"foreign key of one identity", "ALTER TABLE app.leads ADD CONSTRAINT fk FOREIGN KEY (email) REFERENCES users (email)", "ALTER TABLE app.leads DROP CONSTRAINT fk", nil},
	{"foreign key from a plain column", "CREATE TABLE o (mail bytea CONSTRAINT fk REFERENCES users (email))", "DROP TABLE o", []string{"danger foreign-key users.email fk"}},
	{"foreign key of two identities", "ALTER TABLE app.leads ADD UNIQUE (phone); ALTER TABLE users ADD CONSTRAINT fk FOREIGN KEY (ssn) REFERENCES app.leads (phone)",
		"ALTER TABLE users DROP CONSTRAINT fk; ALTER TABLE app.leads DROP CONSTRAINT leads_phone_key", []string{"danger foreign-key users.ssn fk"}},
	{"no key table", "ALTER TABLE colseal_keys RENAME TO k", "ALTER TABLE k RENAME TO colseal_keys", []string{"danger key-table colseal_keys "}},
	{"keys that are not unique", "ALTER TABLE colseal_keys DROP CONSTRAINT colseal_keys_pkey, DROP CONSTRAINT colseal_keys_purpose_scope_epoch_key; CREATE UNIQUE INDEX x ON colseal_keys (key_id) WHERE key_id > 0",
		"DROP INDEX x; ALTER TABLE colseal_keys ADD PRIMARY KEY (key_id), ADD UNIQUE (purpose, scope, epoch)", []string{"danger key-table colseal_keys ", "danger key-table colseal_keys "}},
	{"keys that are unique in another way", "ALTER TABLE colseal_keys DROP CONSTRAINT colseal_keys_purpose_scope_epoch_key; CREATE UNIQUE INDEX x ON colseal_keys (scope, epoch, purpose)",
		"DROP INDEX x; ALTER TABLE colseal_keys ADD UNIQUE (purpose, scope, epoch)", nil},
	{"registered view is a table", "DROP VIEW user_mails; CREATE TABLE user_mails AS SELECT * FROM users",
		"DROP TABLE user_mails; CREATE VIEW user_mails AS SELECT id, email, ssn, \"Born On\" FROM users",
		[]string{"danger kind user_mails ", "warning no-check user_mails.Born On colseal_Born On_check", "warning no-check user_mails.email colseal_email_check", "warning no-check user_mails.ssn colseal_ssn_check"}},
}

func TestAudit(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		t.Parallel() // most of the time is spent waiting
		run(t, db.Admin, tables)
		backstop := statements(t, ddl.Options{})
		run(t, db.Admin, backstop)
		sealed := open(t, db)
		if _, err := sealed.Exec(insertUser, 1, "a@example.com", "1", "2001-02-03T00:00:00Z"); err != nil {
			t.Fatal(err)
		}
		expect := func(t *testing.T, want []string) {
			t.Helper()
			found, err := dbcheck.Run(t.Context(), sealed)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				where := f.Table
				if f.Column != "" {
					where += "." + f.Column
				}
				got = append(got, strings.Join([]string{f.Severity.String(), f.Rule, where, f.Object}, " "))
				if f.What == "" || f.Hint == "" || strings.Contains(f.String(), "canary") {
					t.Errorf("the finding is incomplete, or holds a value: %s", f)
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		expect(t, nil)
		for _, p := range plants {
			t.Run(strings.ReplaceAll(p.name, " ", "-"), func(t *testing.T) {
				plant := strings.ReplaceAll(p.plant, "NOTVALID", notValidEmail())
				run(t, db.Admin, strings.ReplaceAll(plant, "BACKSTOP", backstop))
				expect(t, p.want)
				if p.undo != "" {
					run(t, db.Admin, p.undo)
				}
				run(t, db.Admin, backstop)
				expect(t, nil)
			})
		}
	})
}

func notValidEmail() string {
	t := sealedSchema.Lookup("", "users")
	return ddl.AddCheck(t, t.Column("email"), false, true)
}

func TestAuditOfSettings(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, tables)
		run(t, db.Admin, statements(t, ddl.Options{}))
		for setting, want := range map[string]string{"standard_conforming_strings = off": "standard-strings", "gin_fuzzy_search_limit = 5000": "fuzzy-limit"} {
			run(t, db.Admin, "ALTER DATABASE "+db.Name+" RESET ALL; ALTER DATABASE "+db.Name+" SET "+setting)
			found, err := dbcheck.Run(t.Context(), open(t, db))
			if err != nil || len(found) != 1 || found[0].Rule != want {
				t.Errorf("%s: found %v, %v", setting, found, err)
			}
		}
	})
}

// Without the right to read a table the audit says so, and goes on.
func TestAuditWithoutRights(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, tables)
		run(t, db.Admin, statements(t, ddl.Options{})+"ALTER TABLE users DROP CONSTRAINT colseal_email_check; CREATE ROLE "+db.Name)
		t.Cleanup(func() {
			if _, err := db.Admin.Exec("DROP ROLE " + db.Name); err != nil {
				t.Error(err)
			}
		})
		sealed := open(t, db)
		sealed.SetMaxOpenConns(1)
		if _, err := sealed.Exec("SET ROLE " + db.Name); err != nil {
			t.Fatal(err)
		}
		found, err := dbcheck.Run(t.Context(), sealed)
		rules := make([]string, len(found))
		for i, f := range found {
			rules[i] = f.Rule
		}
		if want := []string{"search-function", "search-function", "no-check", "unreadable"}; err != nil || !slices.Equal(rules, want) {
			t.Errorf("found %v, %v", found, err)
		}
	})
}

// A stage without its companion is found, and told by how much it matters.
func TestAuditOfCompanions(t *testing.T) {
	staged := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy}, schema.Column{Name: "ssn"}))
	severities := map[schema.Stage]dbcheck.Severity{schema.StageCopy: dbcheck.SeverityWarning, schema.StageSealed: dbcheck.SeverityDanger, schema.StageOnly: dbcheck.SeverityDanger}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, "CREATE TABLE users (id bigint PRIMARY KEY, email text, ssn bytea)")
		for stage, severity := range severities {
			sealed := open(t, db, func(c *driver.Config) {
				c.Schema, c.Stages = staged, map[string]schema.Stage{"users": stage}
			})
			find := func() (found []dbcheck.Finding) {
				t.Helper()
				all, err := dbcheck.Run(t.Context(), sealed)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range all {
					if f.Rule == "missing-companion" {
						found = append(found, f)
					}
				}
				return found
			}
			found := find()
			if len(found) != 1 || found[0].Severity != severity || found[0].Table != "users" || found[0].Column != "email_sealed" || found[0].Hint == "" || !strings.Contains(found[0].What, stage.String()) {
				t.Errorf("in %s: found %v", stage, found)
			}
			run(t, db.Admin, "ALTER TABLE users ADD email_sealed bytea")
			if found := find(); len(found) > 0 {
				t.Errorf("in %s, with the companion: found %v", stage, found)
			}
			run(t, db.Admin, "ALTER TABLE users DROP email_sealed")
			if err := sealed.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
