package shapes

import (
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/explain"
)

// What is said of a statement without a database holds with one: where the catalog decides, nothing is said.
func TestOfflineVerdicts(t *testing.T) {
	pgtest.Newest(t, func(t *testing.T, db *pgtest.DB) {
		p := newPair(t, db, databaseSQL, "bytea")
		said := map[string]int{}
		verdict := func(e *explain.Explanation) string {
			switch {
			case e.Undecided != "":
				return "not decided"
			case e.Refused != nil:
				return "refused"
			case e.Sealed:
				return "works"
			}
			return "forwarded"
		}
		for _, s := range allShapes() {
			if db.Version < s.since {
				continue
			}
			offline, err := explain.Offline(sealedTables, driver.DialectPostgres, s.sql)
			if err != nil {
				t.Fatal(s.name, err)
			}
			live, err := explain.Query(t.Context(), p.sealed.db, s.sql)
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
				continue
			}
			said[verdict(offline)]++
			if got, want := verdict(offline), verdict(live); got != want && got != "not decided" {
				t.Errorf("%s\n%s\noffline it is %s, with a server it is %s", s.name, s.sql, got, want)
			}
		}
		t.Logf("offline: %v", said)
	})
}
