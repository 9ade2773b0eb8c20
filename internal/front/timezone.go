package front

import (
	"strings"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// zone is a time zone as the server named it.
type zone struct {
	name string
	loc  *time.Location // nil: not known here
}

// texts returns what texts mean in the session. The text of an instant without a zone is local time
// in the TimeZone that the server reported last; nothing is known if it reports none, or one that
// this program lacks. SQLite reads such a text as UTC. The server does not report changes of
// array_nulls: that is read with what names mean, before a statement is planned.
func (s *Session) texts() codec.Session {
	if s.db.cfg.Dialect == dialect.SQLite {
		return codec.Session{TimeZone: time.UTC}
	}
	if name := s.conn.Parameter("TimeZone"); name != s.zone.name {
		s.zone = zone{name, location(name)}
	}
	return codec.Session{TimeZone: s.zone.loc, NullWords: s.facts.NullWords}
}

// dependsOnSession reports whether the text of a value of a kind may mean one thing in one session
// and another in the next.
func dependsOnSession(kind schema.Kind) bool {
	return kind == schema.KindTime || kind == schema.KindTextArray || kind == schema.KindIntArray
}

// location returns the zone of that name in PostgreSQL, or nil if it is not known here. Zones of
// the machine, such as localtime, are those of another machine there.
func location(name string) *time.Location {
	if name == "" || strings.EqualFold(name, "local") || strings.Contains(name, "localtime") || strings.Contains(name, "posixrules") {
		return nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return loc
}
