package sqlplan

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/testdiff"
	"github.com/colseal/colseal/schema"
)

// stagedCatalog has a table on its way, one whose plain column is dropped, and one whose companion is not
// there yet.
var stagedCatalog = fakeCatalog{
	"public.users": relation("users", "id bigint", "email text", "note text", "ssn text", "email_sealed bytea", "ssn_sealed bytea"),
	"public.ended": relation("ended", "id bigint", "note text", "email_sealed bytea"),
	"public.begun": relation("begun", "id bigint", "email text", "note text"),
	"public.orgs":  relation("orgs", "id bigint", "note text"),
}

func stagedSchema(stage schema.Stage) *schema.Schema {
	return schema.Must(
		schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: stage, JoinGroup: "mail"}, schema.Column{Name: "ssn", Stage: stage}),
		schema.Columns("ended", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stored: "email_sealed", JoinGroup: "mail"}),
		schema.Columns("begun", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy, JoinGroup: "mail"}))
}

// The file lists, for each statement and stage, what is sent: parameters with the columns that they are sealed
// for, results with those that they are opened for. "observed" is what the next stage will refuse.
func TestStagedPlans(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.Postgres, dialect.SQLite} {
		t.Run(d.String(), func(t *testing.T) {
			name := "testdata/" + strings.ToLower(d.String()) + "-stages"
			data, err := os.ReadFile(name + ".sql")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, sql := range strings.Split(strings.TrimSpace(string(data)), "\n") {
				b.WriteString(sql + "\n")
				for _, stage := range []schema.Stage{schema.StageCopy, schema.StageSealed, schema.StageOnly} {
					b.WriteString("  " + stage.String() + ": " + stagedPlan(t, New(stagedSchema(stage), d, Options{}), sql) + "\n")
				}
			}
			testdiff.Golden(t, name+".plans", b.String(), *update)
		})
	}
}

func stagedPlan(t *testing.T, p *Planner, sql string) string {
	t.Helper()
	plan, err := p.Plan(context.Background(), sql, &Env{Catalog: stagedCatalog})
	if err != nil {
		r, ok := err.(*Refusal)
		if !ok {
			t.Fatalf("%s: %v", sql, err)
		}
		return "REFUSED " + r.Reason
	}
	s := render(plan)
	if plan.Spare {
		s += " spare"
	}
	if plan.Observed != nil {
		s += " observed " + string(plan.Observed.Class) + ": " + plan.Observed.Reason
	}
	return s
}

// While options change, nothing reaches the new companion but by the column's own name: its values are cells from the beginning.
func TestNewCompanionIsNotNamed(t *testing.T) {
	s := schema.Must(schema.Columns("users", schema.Column{Name: "ssn", Mode: schema.ModeDeterministic, Stage: schema.StageCopy, Stored: "email_sealed",
		Was: &schema.Column{Name: "ssn"}}))
	catalog := fakeCatalog{"public.users": relation("users", "id bigint", "note text", "ssn bytea", "email_sealed bytea")}
	for _, d := range []dialect.Dialect{dialect.Postgres, dialect.SQLite} {
		p := New(s, d, Options{})
		for _, sql := range []string{
			"UPDATE users SET email_sealed = 'canary' WHERE id = 1",
			"UPDATE users SET Email_Sealed = $1 WHERE id = 1",
			"INSERT INTO users (id, \"email_sealed\") VALUES (1, 'canary')",
			"SELECT id FROM users WHERE email_sealed = $1",
		} {
			if plan, err := p.Plan(t.Context(), sql, &Env{Catalog: catalog}); err == nil {
				t.Errorf("%s: %s: %s", d, sql, render(plan))
			}
		}
		if _, err := p.Plan(t.Context(), "UPDATE users SET ssn = $1 WHERE id = 1", &Env{Catalog: catalog}); err != nil {
			t.Error(err)
		}
	}
}

// A statement on a view that shows the plain column alone is refused, whatever it does with the column.
func TestViewWithoutTheCompanion(t *testing.T) {
	view := viewOf(relation("shown", "id bigint", "email text", "note text"), "SELECT users.id, users.email, users.note FROM users")
	catalog := fakeCatalog{"public.users": stagedCatalog["public.users"], "public.shown": view}
	for _, stage := range []schema.Stage{schema.StageSealed, schema.StageOnly} {
		p := New(stagedSchema(stage), dialect.Postgres, Options{})
		known := p.knowing([]dbcatalog.Dependent{{Name: dbcatalog.Name{Schema: "public", Table: "shown"}, Kind: dbcatalog.DependentView}}, nil)
		for _, sql := range []string{
			"SELECT id FROM shown WHERE email = email",
			"SELECT count(*) FROM (SELECT * FROM shown) s",
			"SELECT count(email) FROM shown",
			"UPDATE shown SET email = NULL WHERE id = 1",
			"UPDATE shown SET email = DEFAULT WHERE id = 1",
			"INSERT INTO shown (id, email) VALUES (1, NULL)",
			"DELETE FROM shown WHERE email IS NULL",
		} {
			plan, err := p.Plan(t.Context(), sql, &Env{Catalog: catalog, Known: known})
			if err == nil {
				t.Errorf("%s: %s: %s", stage, sql, render(plan))
			} else if !strings.Contains(err.Error(), "no companion column email_sealed") {
				t.Errorf("%s: %s: %v", stage, sql, err)
			}
		}
		if _, err := p.Plan(t.Context(), "SELECT note FROM shown WHERE id = $1", &Env{Catalog: catalog, Known: known}); err != nil {
			t.Error(err)
		}
	}
}

// viewOf makes a relation a view that can be written.
func viewOf(r *dbcatalog.Relation, definition string) *dbcatalog.Relation {
	r.View, r.Updatable, r.Definition = true, true, definition
	return r
}

// Nor through a view that has another name for the companion.
func TestNewCompanionIsNotNamedThroughViews(t *testing.T) {
	was := func(stored string) *schema.Schema {
		return schema.Must(schema.Columns("users", schema.Column{Name: "ssn", Mode: schema.ModeDeterministic, Stage: schema.StageCopy, Stored: "ssn_new",
			Was: &schema.Column{Name: "ssn", Stored: stored}}))
	}
	for stored, table := range map[string]*dbcatalog.Relation{
		"":           relation("users", "id bigint", "note text", "ssn bytea", "ssn_new bytea"),
		"ssn_sealed": relation("users", "id bigint", "note text", "ssn text", "ssn_sealed bytea", "ssn_new bytea"),
	} {
		catalog := fakeCatalog{"public.users": table,
			"public.v":  viewOf(relation("v", "id bigint", "fresh bytea"), "SELECT users.id, users.ssn_new AS fresh FROM users"),
			"public.vv": viewOf(relation("vv", "id bigint", "f bytea"), "SELECT v.id, v.fresh AS f FROM v"),
			"public.b":  viewOf(relation("b", "id bigint", "ssn bytea", "fresh bytea"), "SELECT users.id, users."+cmp.Or(stored, "ssn")+" AS ssn, users.ssn_new AS fresh FROM users"),
		}
		p := New(was(stored), dialect.Postgres, Options{})
		var deps []dbcatalog.Dependent
		for _, name := range []string{"v", "vv", "b"} {
			deps = append(deps, dbcatalog.Dependent{Name: dbcatalog.Name{Schema: "public", Table: name}, Kind: dbcatalog.DependentView})
		}
		known := p.knowing(deps, nil)
		for _, sql := range []string{
			"UPDATE v SET fresh = 'canary' WHERE id = 1",
			"UPDATE v SET fresh = $1 WHERE id = 1",
			"UPDATE v SET fresh = lower('canary') WHERE id = 1",
			"INSERT INTO v (id, fresh) VALUES (1, 'canary')",
			"INSERT INTO v VALUES (1, 'canary')",
			"INSERT INTO v SELECT 1, note FROM users",
			"INSERT INTO v SELECT 1, note::bytea FROM users",
			"INSERT INTO v SELECT 1, ssn FROM users",
			"UPDATE vv SET f = 'canary'",
			"UPDATE vv SET f = DEFAULT",
			"UPDATE b SET fresh = 'canary'",
			"UPDATE b SET fresh = ssn",
			"UPDATE b SET ssn = fresh",
			"UPDATE b SET ssn = note FROM users",
			"SELECT fresh FROM v",
			"SELECT * FROM v",
			"SELECT * FROM v WHERE fresh = $1",
			"SELECT lower(fresh::text) FROM v",
			"SELECT length(f) FROM vv",
			"SELECT id FROM v WHERE fresh = 'canary'",
			"SELECT v.id FROM v JOIN users u ON u.ssn = v.fresh",
			"SELECT row_to_json(v) FROM v",
			"COPY v TO STDOUT",
			"COPY v FROM STDIN",
			"MERGE INTO v USING users u ON u.id = v.id WHEN MATCHED THEN UPDATE SET fresh = 'canary'",
		} {
			if plan, err := p.Plan(t.Context(), sql, &Env{Catalog: catalog, Known: known}); err == nil {
				t.Errorf("%q: %s: %s", stored, sql, render(plan))
			}
		}
		for _, sql := range []string{"SELECT id FROM v", "SELECT count(*) FROM vv", "SELECT ssn FROM b", "DELETE FROM vv WHERE id = $1"} {
			if _, err := p.Plan(t.Context(), sql, &Env{Catalog: catalog, Known: known}); err != nil {
				t.Errorf("%q: %s: %v", stored, sql, err)
			}
		}
	}
}

// What is written twice while options change shows the server no plaintext, in either place.
func TestQuestionsWhileOptionsChange(t *testing.T) {
	catalog := fakeCatalog{"public.users": relation("users", "id bigint", "note text", "email bytea", "email_new bytea")}
	for _, stage := range []schema.Stage{schema.StageCopy, schema.StageSealed, schema.StageOnly} {
		s := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "new", Stage: stage, Stored: "email_new",
			Was: &schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "old"}}))
		p := New(s, dialect.Postgres, Options{})
		for _, sql := range []string{
			"UPDATE users SET email = CASE WHEN $1 <> '' THEN $1 ELSE email END WHERE id = $2",
			"UPDATE users SET email = NULLIF($1, '')",
			"UPDATE users SET email = CASE $1 WHEN '' THEN email ELSE $1 END",
			"INSERT INTO users (id, email) SELECT 1, CASE WHEN $1 = 'canary' THEN NULL ELSE $1 END",
			"INSERT INTO users (id, email) VALUES (1, COALESCE(NULLIF($1, ''), 'canary'))",
			"UPDATE users SET email = CASE WHEN $1 IN ('a', 'b') THEN $1 END WHERE email = $1",
		} {
			plan, err := p.Plan(t.Context(), sql, &Env{Catalog: catalog})
			if err != nil {
				t.Errorf("%s: %s: %v", stage, sql, err)
				continue
			}
			if slices.ContainsFunc(plan.Params, func(q Param) bool { return q.From == 1 && q.Use == nil }) || strings.Contains(strings.Join(plan.Chunks, ""), "'canary'") {
				t.Errorf("%s: %s: a value is sent in the clear: %s", stage, sql, render(plan))
			}
		}
	}
}

// A view that shows the former companion alone has what is written while programs write both. In only nobody keeps it up.
func TestFormerCompanionInViews(t *testing.T) {
	catalog := fakeCatalog{"public.users": relation("users", "id bigint", "ssn text", "ssn_sealed bytea", "ssn_new bytea"),
		"public.v": viewOf(relation("v", "id bigint", "old bytea"), "SELECT users.id, users.ssn_sealed AS old FROM users")}
	for stage, works := range map[schema.Stage]bool{schema.StageCopy: true, schema.StageSealed: true, schema.StageOnly: false} {
		p := New(schema.Must(schema.Columns("users", schema.Column{Name: "ssn", Mode: schema.ModeDeterministic, Stage: stage, Stored: "ssn_new",
			Was: &schema.Column{Name: "ssn", Stored: "ssn_sealed"}})), dialect.Postgres, Options{})
		known := p.knowing([]dbcatalog.Dependent{{Name: dbcatalog.Name{Schema: "public", Table: "v"}, Kind: dbcatalog.DependentView}}, nil)
		for _, sql := range []string{"SELECT old FROM v", "SELECT * FROM v", "SELECT id FROM v WHERE old IS NULL", "UPDATE v SET old = $1"} {
			if plan, err := p.Plan(t.Context(), sql, &Env{Catalog: catalog, Known: known}); (err == nil) != works {
				t.Errorf("%s: %s: %v %v", stage, sql, plan, err)
			}
		}
		if _, err := p.Plan(t.Context(), "SELECT id FROM v", &Env{Catalog: catalog, Known: known}); err != nil {
			t.Error(err)
		}
	}
}
