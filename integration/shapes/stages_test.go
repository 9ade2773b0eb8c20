package shapes

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// stagedTables are sealedTables on their way: from plain, or from other options.
func stagedTables(stage schema.Stage, changes bool) *schema.Schema {
	to := func(c schema.Column, from schema.Column) schema.Column {
		if c.Stage, c.Stored = stage, c.Name+"_sealed"; changes {
			from.Name, from.Kind, c.Was = c.Name, c.Kind, &from
		}
		return c
	}
	of := func(name, group, former string, kind schema.Kind) schema.Column {
		return to(schema.Column{Name: name, Mode: schema.ModeDeterministic, JoinGroup: group, Kind: kind}, schema.Column{Mode: schema.ModeDeterministic, JoinGroup: former})
	}
	mail, ssn := of("email", "mail", "former-mail", schema.KindText), schema.Column{Name: "ssn"}
	if changes {
		ssn.Mode = schema.ModeDeterministic // so that each of its former cells is another one, and its new ones are not
	}
	ssn = to(ssn, schema.Column{})
	return schema.Must(
		schema.Columns("public.users", mail, ssn), schema.Columns("archive", mail, ssn), schema.Columns("parts", mail, ssn),
		schema.Columns("leads", of("email", "lead", "former-lead", schema.KindText), of("phone", "phone", "former-phone", schema.KindInt)),
		schema.View("user_view", "public.users"))
}

// stagedDDL adds the companions to tables of plain columns. A trigger holds each row to what a plain column and its companion have in
// common: both are NULL or neither, they change together, and two rows have equal cells of a deterministic column if the values are equal.
// What a program in copy cannot seal has no cell, and that of what it does not analyse becomes NULL, as by the trigger of colseal seal.
// One in only writes no plain value, which one in sealed beside it goes by. The settings of their connections say so.
const stagedDDL = `
ALTER TABLE users ADD email_sealed bytea UNIQUE, ADD ssn_sealed bytea;
ALTER TABLE archive ADD email_sealed bytea, ADD ssn_sealed bytea;
ALTER TABLE parts ADD email_sealed bytea, ADD ssn_sealed bytea;
ALTER TABLE leads ADD email_sealed bytea, ADD phone_sealed bytea;
CREATE OR REPLACE VIEW user_view AS SELECT id, email, note, email_sealed FROM users;
CREATE OR REPLACE VIEW mails AS SELECT id, email AS mail, ssn AS secret, note AS remark, org, email_sealed AS mail_sealed, ssn_sealed AS secret_sealed FROM users WHERE org IS NULL OR org < 90 WITH CASCADED CHECK OPTION;
CREATE OR REPLACE VIEW both_mails AS SELECT id, email, email_sealed FROM users UNION ALL SELECT id, email, email_sealed FROM archive;
CREATE OR REPLACE VIEW shouts AS SELECT id, upper(note) AS note, email, email_sealed FROM users;
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c text; differ bool; stage text := COALESCE(current_setting('colseal.stage', true), ''); former jsonb := to_jsonb(OLD); latter jsonb := to_jsonb(NEW);
BEGIN
	IF stage = 'only' THEN
		RETURN NULL;
	END IF;
	FOREACH c IN ARRAY TG_ARGV LOOP
		IF latter ->> c IS NULL AND latter ->> (c || '_sealed') IS NOT NULL AND stage <> 'beside only' OR latter ->> c IS NOT NULL AND latter ->> (c || '_sealed') IS NULL AND stage <> 'copy' THEN
			RAISE '% % and its companion: %', TG_TABLE_NAME, c, latter;
		END IF;
		IF TG_OP = 'UPDATE' AND latter ->> c IS DISTINCT FROM former ->> c AND latter ->> (c || '_sealed') IS NOT DISTINCT FROM former ->> (c || '_sealed')
			AND (stage <> 'copy' OR latter ->> (c || '_sealed') IS NOT NULL) AND (stage <> 'beside only' OR former ->> c IS NOT NULL) AND (c <> 'ssn' OR left(latter ->> c, 2) <> '\x') THEN
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
CREATE FUNCTION lag() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c text; former jsonb := to_jsonb(OLD); latter jsonb := to_jsonb(NEW);
BEGIN
	FOREACH c IN ARRAY TG_ARGV LOOP
		IF latter ->> c IS DISTINCT FROM former ->> c AND latter ->> (c || '_sealed') IS NOT DISTINCT FROM former ->> (c || '_sealed') THEN
			NEW := jsonb_populate_record(NEW, jsonb_build_object(c || '_sealed', NULL));
		END IF;
	END LOOP;
	RETURN NEW;
END$$;
CREATE TRIGGER lag BEFORE UPDATE ON users FOR EACH ROW WHEN (current_setting('colseal.stage', true) = 'copy') EXECUTE FUNCTION lag('email', 'ssn');
CREATE TRIGGER lag BEFORE UPDATE ON archive FOR EACH ROW WHEN (current_setting('colseal.stage', true) = 'copy') EXECUTE FUNCTION lag('email', 'ssn');
CREATE TRIGGER lag BEFORE UPDATE ON parts FOR EACH ROW WHEN (current_setting('colseal.stage', true) = 'copy') EXECUTE FUNCTION lag('email', 'ssn');
CREATE TRIGGER lag BEFORE UPDATE ON leads FOR EACH ROW WHEN (current_setting('colseal.stage', true) = 'copy') EXECUTE FUNCTION lag('email', 'phone');
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION hold('email', 'ssn');
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON archive FOR EACH ROW EXECUTE FUNCTION hold('email', 'ssn');
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION hold('email', 'phone');
`

// TestStagedRandom runs random statements of programs in neighbouring stages beside each other: one in sealed, which writes both columns and
// reads the companions, and one in copy, or in only. On one of the servers they come from plain columns, on another one from other options.
func TestStagedRandom(t *testing.T) {
	seed, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		t.Parallel()
		other := schema.StageCopy
		if seed%2 == uint64(db.Version)/2%2 {
			other = schema.StageOnly
		}
		kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		f, c := fronts[db.Version/2%2], newCanaries()
		changes := seed/2%2 == uint64(db.Version)/2%2
		from, text, number := "cells", "bytea", "bytea"
		if !changes {
			from, text, number = "plain", "text", "bigint"
			c.forms = nil // plain values are sent to the plain columns
		}
		exec(t, db.Admin, fmt.Sprintf(ddl, text, number)+plainDDL+stagedDDL)
		p := &pair{canaries: c, twin: newTwin(t, db, f, db.Name, c)}
		for _, stage := range []schema.Stage{schema.StageSealed, other} {
			settings := maps.Clone(unlogged)
			if settings["colseal.stage"] = stage.String(); stage < other {
				settings["colseal.stage"] = "beside only"
			}
			s := side{front: f, text: c.text}
			s.connect(t, db.DSN(), db.Name, &driver.Config{Schema: stagedTables(stage, changes), KMS: kek, AutoCreateKeyTable: true}, settings)
			s.prepare(t)
			p.sides = append(p.sides, s)
		}
		for i, q := range rows {
			p.sides[i%2].exec(t, c.text.Replace(q))
			p.twin.exec(t, c.text.Replace(q))
		}
		s := newShares()
		t.Run(fmt.Sprintf("%s, from %s, sealed beside %s", f, from, other), func(t *testing.T) { p.random(t, seed, statementsOver(db.Version, 0, true, false), s) })
		s.report(t, seed, 2)
	})
}
