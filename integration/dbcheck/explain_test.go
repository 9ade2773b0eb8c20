package dbcheck

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/explain"
)

// With a server the explanation knows what the catalog says: the order of columns, how they are stored.
func TestExplainLive(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		run(t, db.Admin, tables)
		sealed := open(t, db)
		text := func(query string) string {
			t.Helper()
			e, err := explain.Query(t.Context(), sealed, query)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(strings.Fields(e.String()), " ")
		}
		for query, wants := range map[string][]string{
			"INSERT INTO users VALUES ($1, $2, $3)":            {`INSERT INTO "public".users ("id","email","ssn")`, "$1 sent as it is", "$3 sealed for users.ssn (random, text), as text"},
			"SELECT * FROM users":                              {"result 1 id as it is", "result 5 note as it is", "result 2 email opened: users.email"},
			"SELECT id FROM users WHERE email = $1":            {"WORKS", "$1 sealed for users.email"},
			"SELECT id FROM users WHERE ssn = $1":              {"REFUSED", "needs a deterministic column"},
			"SELECT note FROM notes":                           {"FORWARDED"},
			"SELECT email, count(*) FROM users GROUP BY email": {"refused while a change of the search key is under way"},
		} {
			got := text(query)
			for _, want := range wants {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %q lacks %q", query, got, want)
				}
			}
		}
		if _, err := explain.Query(t.Context(), db.Admin, "SELECT 1"); err == nil {
			t.Error("a handle of another driver is explained")
		}
	})
}
