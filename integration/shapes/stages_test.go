package shapes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// stagedTables are sealedTables on their way.
func stagedTables() *schema.Schema {
	text := func(name string) schema.Column {
		return schema.Column{Name: name, Mode: schema.ModeDeterministic, JoinGroup: "mail", Stage: schema.StageSealed}
	}
	ssn := schema.Column{Name: "ssn", Stage: schema.StageSealed}
	return schema.Must(
		schema.Columns("public.users", text("email"), ssn), schema.Columns("archive", text("email"), ssn), schema.Columns("parts", text("email"), ssn),
		schema.Columns("leads", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageSealed},
			schema.Column{Name: "phone", Mode: schema.ModeDeterministic, Kind: schema.KindInt, Stage: schema.StageSealed}),
		schema.View("user_view", "public.users"))
}

// stagedDDL adds the companions to tables of plain columns. A trigger holds each row to what a plain column and its companion have in
// common: both are NULL or neither, they change together, and two rows have equal cells of a deterministic column if the values are equal.
const stagedDDL = `
ALTER TABLE users ADD email_sealed bytea UNIQUE, ADD ssn_sealed bytea;
ALTER TABLE archive ADD email_sealed bytea, ADD ssn_sealed bytea;
ALTER TABLE parts ADD email_sealed bytea, ADD ssn_sealed bytea;
ALTER TABLE leads ADD email_sealed bytea, ADD phone_sealed bytea;
CREATE OR REPLACE VIEW user_view AS SELECT id, email, note, email_sealed FROM users;
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c text; differ bool; former jsonb := to_jsonb(OLD); latter jsonb := to_jsonb(NEW);
BEGIN
	FOREACH c IN ARRAY TG_ARGV LOOP
		IF (latter ->> c IS NULL) <> (latter ->> (c || '_sealed') IS NULL) THEN
			RAISE '% % and its companion: %', TG_TABLE_NAME, c, latter;
		END IF;
		IF TG_OP = 'UPDATE' AND latter ->> c IS DISTINCT FROM former ->> c AND latter ->> (c || '_sealed') IS NOT DISTINCT FROM former ->> (c || '_sealed') THEN
			RAISE '% % changes without its companion: %', TG_TABLE_NAME, c, latter;
		END IF;
		IF c <> 'ssn' THEN
			EXECUTE format('SELECT EXISTS (SELECT FROM %1$I.%2$I t WHERE (t.%3$I = ($1).%3$I) <> (t.%4$I = ($1).%4$I))', TG_TABLE_SCHEMA, TG_TABLE_NAME, c, c || '_sealed') INTO differ USING NEW;
			IF differ THEN
				RAISE '% % has another value than its companion: %', TG_TABLE_NAME, c, latter;
			END IF;
		END IF;
	END LOOP;
	RETURN NULL;
END$$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION hold('email', 'ssn');
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON archive FOR EACH ROW EXECUTE FUNCTION hold('email', 'ssn');
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION hold('email', 'phone');
`

// TestStagedRandom runs random statements of a program in sealed, which writes both columns and reads the companions.
func TestStagedRandom(t *testing.T) {
	seed, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		t.Parallel()
		kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		tables, _, _ := strings.Cut(ddl, "\nCREATE VIEW mails ")
		exec(t, db.Admin, fmt.Sprintf(tables, "text", "bigint")+plainDDL+stagedDDL)
		f, c := fronts[db.Version/2%2], newCanaries()
		c.forms = nil // plain values are sent to the plain columns
		sealed := side{front: f, text: c.text}
		sealed.connect(t, db.DSN(), db.Name, &driver.Config{Schema: stagedTables(), KMS: kek, AutoCreateKeyTable: true}, unlogged)
		sealed.prepare(t)
		p := &pair{canaries: c, sealed: sealed, twin: newTwin(t, db, f, db.Name, c)}
		for _, q := range rows {
			p.sealed.exec(t, c.text.Replace(q))
			p.twin.exec(t, c.text.Replace(q))
		}
		s := newShares()
		s.fewer = 3 // views and children
		t.Run(string(f), func(t *testing.T) { p.random(t, seed, statementsOver(db.Version, 0, false), s) })
		s.report(t, seed, 2)
	})
}
