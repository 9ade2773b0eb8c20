package sqlplan

import (
	"context"
	"os"
	"strings"
	"testing"

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
