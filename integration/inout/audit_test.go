package inout

import (
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// The audit knows the triggers of colseal seal in every stage, and reports one that is not what it
// was made.
func TestAuditKnowsTheTriggers(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, mail text, "Age" integer); INSERT INTO people VALUES (1, 'a', 1)`)
	tables := func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "mail", Stage: schema.StageCopy}, schema.Column{Name: "Age", Kind: schema.KindInt, Stage: schema.StageCopy, Stored: "Age sealed"}))
	}
	db := w.open(t, tables)
	turned := w.open(t, func() (*schema.Schema, error) { // the fields of a struct in another order
		s, err := tables()
		if err != nil {
			return nil, err
		}
		c := s.Tables()[0].Columns()
		return schema.New(schema.Columns("people", schema.Column{Name: c[1].Name, Kind: c[1].Kind, Stage: c[1].Stage, Stored: c[1].Stored}, schema.Column{Name: c[0].Name, Stage: c[0].Stage}))
	})
	by := db
	triggers := func() (found []string) {
		t.Helper()
		all, err := dbcheck.Run(t.Context(), by)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.Rule == "trigger" || f.Rule == "function" {
				found = append(found, f.Severity.String()+" "+f.Object)
			}
		}
		return found
	}
	for _, l := range way {
		if _, err := l.run(t.Context(), db, migrate.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := triggers(); len(got) > 0 {
			t.Errorf("%s: the audit reports %q", l, got)
		}
	}
	if _, err := way[0].run(t.Context(), db, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	by = turned
	if got := triggers(); len(got) > 0 {
		t.Errorf("with the columns in another order the audit reports %q", got)
	}
	by = db
	const last, mail, age = "zz_colseal_pairs", "zz_colseal_both_mail_sealed", "zz_colseal_both_Age sealed"
	body := all(t, pg.Admin, "SELECT prosrc FROM pg_proc WHERE proname = 'colseal_pairs_people'")[0]
	make := func(body, more string) string {
		return "CREATE OR REPLACE FUNCTION colseal_pairs_people() RETURNS trigger LANGUAGE plpgsql " + more + " AS $body$" + body + "$body$"
	}
	for _, tt := range []struct {
		change, back string
		want         []string
	}{
		{make(strings.Replace(body, "RETURN NEW;\nEND\n", "NEW.mail_sealed := NULL;\nRETURN NEW;\nEND\n", 1), ""), make(body, ""), []string{last, mail, age}},
		{make("BEGIN RETURN NEW; END", ""), make(body, ""), []string{last, mail, age}},
		{make(body, "SECURITY DEFINER"), make(body, ""), []string{last, mail, age}},
		{make(body, "SET search_path = public"), make(body, ""), []string{last, mail, age}},
		{"ALTER TABLE people DISABLE TRIGGER " + last, "ALTER TABLE people ENABLE TRIGGER " + last, []string{last}},
		{"ALTER TABLE people ENABLE REPLICA TRIGGER " + mail, "ALTER TABLE people ENABLE TRIGGER " + mail, []string{mail}},
		{"CREATE OR REPLACE TRIGGER " + last + " BEFORE INSERT OR UPDATE ON people FOR EACH ROW WHEN (NEW.id < 10) EXECUTE FUNCTION colseal_pairs_people()",
			"CREATE OR REPLACE TRIGGER " + last + " BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION colseal_pairs_people()", []string{last}},
		{"CREATE OR REPLACE TRIGGER " + mail + " BEFORE UPDATE OF mail ON people FOR EACH ROW EXECUTE FUNCTION colseal_pairs_people('mail_sealed')",
			"CREATE OR REPLACE TRIGGER " + mail + " BEFORE UPDATE OF mail_sealed ON people FOR EACH ROW EXECUTE FUNCTION colseal_pairs_people('mail_sealed')", []string{mail}},
		{"CREATE TRIGGER zz_colseal_both_other BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION colseal_pairs_people()", "DROP TRIGGER zz_colseal_both_other ON people", []string{"zz_colseal_both_other"}},
		{`DROP TRIGGER "` + age + `" ON people`, "", []string{age}},
		{"DROP TRIGGER " + last + " ON people", "", []string{last}},
		{"DROP TRIGGER " + mail + " ON people", "", []string{last}}, // the last of the three
		{make("\n-- colseal: {}\nDECLARE\n\tpaired pg_catalog.bool;\nBEGIN\nRETURN NEW;\nEND\n", "") +
			"; CREATE TRIGGER " + last + " BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION colseal_pairs_people()", "", []string{last}}, // for no column
	} {
		mustExec(t, pg.Admin, tt.change)
		want := []string{}
		for _, name := range tt.want {
			want = append(want, "danger "+name)
		}
		slices.Sort(want)
		got := triggers()
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("after %.200s: %q, want %q", tt.change, got, want)
		}
		mustExec(t, pg.Admin, tt.back)
		if got := triggers(); tt.back != "" && len(got) > 0 {
			t.Fatalf("after %.200s: %q", tt.back, got)
		}
	}
}
