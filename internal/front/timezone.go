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

// texts is what texts mean in the session: without a zone, the text of an instant is local time in the TimeZone that the server
// reported last. Nothing is known where it reports none, or one that this program does not have. SQLite takes such a text for UTC.
// Of array_nulls the server does not report changes: it is read with what names mean, before a statement is planned.
func (s *Session) texts() codec.Session {
	if s.db.cfg.Dialect == dialect.SQLite {
		return codec.Session{TimeZone: time.UTC}
	}
	if name := s.conn.Parameter("TimeZone"); name != s.zone.name {
		s.zone = zone{name, location(name)}
	}
	return codec.Session{TimeZone: s.zone.loc, NullWords: s.facts.NullWords}
}

// dependsOnSession reports whether the text of a value of a kind may mean one thing in one session and another in the next.
func dependsOnSession(kind schema.Kind) bool {
	return kind == schema.KindTime || kind == schema.KindTextArray || kind == schema.KindIntArray
}

// location returns the zone of that name in PostgreSQL; nil if it is not known here. Zones of the machine, such as localtime, are
// those of another machine there.
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
