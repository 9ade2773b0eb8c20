package front

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
)

// settings is a connection whose server reports these.
type settings map[string]string

func (settings) TxStatus() byte                 { return 'I' }
func (s settings) Parameter(name string) string { return s[name] }

func (settings) Query(context.Context, string, ...sqldriver.Value) ([]dbcatalog.Row, error) {
	return nil, errors.New("not asked")
}

func (settings) Exec(context.Context, string, ...sqldriver.Value) (int64, error) {
	return 0, errors.New("not asked")
}

// The path is looked at wherever a server may report it: on all that are not known not to.
func TestServersThatReportTheSearchPath(t *testing.T) {
	for _, tt := range []struct {
		version, path string
		looks         bool
	}{
		{"18.1 (Debian 18.1-1)", "app", true}, {"18beta1", "", true}, {"", "", true}, {"pooler", "", true}, {"19.0", "", true},
		{"17.5", "app", true}, // reported at the beginning, whatever the version
		{"17.5 (Debian 17.5-1)", "", false}, {"9.6.24", "", false},
	} {
		conn := settings{"server_version": tt.version}
		if tt.path != "" {
			conn["search_path"] = tt.path
		}
		s := New(Config{Dialect: dialect.Postgres}).NewSession(conn)
		s.Sync()
		s.facts.known, s.facts.Setting = true, "app"
		conn["search_path"] = "other"
		s.Sync()
		if s.facts.known == tt.looks {
			t.Errorf("%q, %q: noticed is %t", tt.version, tt.path, !s.facts.known)
		}
	}
}

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

// A driver that tells nothing is not asked for the path again and again.
func TestDriversThatTellNothing(t *testing.T) {
	for status, silent := range map[statusConn]bool{0: true, 'I': false} {
		s := New(Config{Dialect: dialect.Postgres}).NewSession(status)
		if s.Sync(); s.facts.silent != silent {
			t.Errorf("status %q: silent is %t", byte(status), s.facts.silent)
		}
	}
}

// The end of a transaction that changed what names mean is noticed on every server.
func TestEndOfTransactionIsNoticed(t *testing.T) {
	for _, version := range []string{"17.5", "18.1", ""} {
		for _, lags := range []bool{false, true} {
			conn := settings{"server_version": version}
			s := New(Config{Dialect: dialect.Postgres}).NewSession(conn)
			s.Sync()
			s.facts.known, s.facts.lags = true, lags
			if !lags {
				s.facts.pending = sqlplan.ChangesSession
			}
			if s.Sync(); s.facts.known || s.facts.lags || s.facts.pending != 0 {
				t.Errorf("%q, lags %t: not noticed", version, lags)
			}
		}
	}
}
