package front

import (
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// PostgreSQL 18 tells of each change of the search path.
func TestReportedSearchPath(t *testing.T) {
	s := sessionFacts{known: true, Session: dbcatalog.Session{Setting: "app"}}
	s.report("")
	if !s.known || s.reported {
		t.Error("a server that does not report it")
	}
	s.report("app")
	if !s.known || !s.reported {
		t.Error("the same path")
	}
	gen := s.gen
	s.report("other")
	if s.known || s.gen == gen {
		t.Error("another path was not noticed")
	}
	s.known, s.Setting = true, "other"
	s.report("")
	if s.known {
		t.Error("an empty path was not noticed")
	}
}
