package front

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlplan"
)

// factKey is one name as one kind of session resolves it.
type factKey struct {
	path         string // Session.key
	schema, name string
}

// maxFacts bounds the facts of one *sql.DB. More tables than that are looked up
// again now and then.
const maxFacts = 4096

// factCache holds what the server said about names. It is safe for concurrent use.
type factCache struct {
	mu    sync.RWMutex // guards what follows
	gen   uint64       // counts how often everything was forgotten
	since time.Time    // when it was last
	facts map[factKey]fact
}

// fact is what the server said about a name; nil: there is no such relation.
type fact struct {
	rel     *dbcatalog.Relation
	checked time.Time // when a refusal had it asked for again; zero if none had
}

func newFactCache() *factCache { return &factCache{facts: make(map[factKey]fact), since: time.Now()} }

// get returns a fact, and the generation to give to put if there is none.
func (f *factCache) get(k factKey) (rel *dbcatalog.Relation, ok bool, gen uint64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	known, ok := f.facts[k]
	return known.rel, ok, f.gen
}

// put keeps a fact that was asked for in generation gen, unless all were forgotten since.
func (f *factCache) put(k factKey, rel *dbcatalog.Relation, gen uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if gen != f.gen {
		return
	}
	if len(f.facts) >= maxFacts {
		clear(f.facts)
	}
	f.facts[k] = fact{rel: rel}
}

func (f *factCache) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gen++
	f.since = time.Now()
	clear(f.facts)
}

// forgotten returns when everything was forgotten last.
func (f *factCache) forgotten() time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.since
}

func (f *factCache) generation() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.gen
}

// sessionCatalog answers the planner over the connection that the statement is for, so that
// it sees what the statement will see: the search path, temporary tables, and changes
// that are not committed.
type sessionCatalog struct {
	s    *Session
	used []factKey // what the last plan was told from memory: see outdated
}

// Relation implements sqlplan.Catalog.
func (cat *sessionCatalog) Relation(ctx context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	s := cat.s
	if !s.facts.known {
		return nil, errSession
	}
	key := factKey{path: s.key(), schema: schemaName, name: name}
	rel, ok, gen := s.db.facts.get(key)
	if !ok && s.facts.lags && !s.facts.alone() { // others see more
		key.path = s.facts.Path
		rel, ok, _ = s.db.facts.get(key)
		if !ok {
			key.path = s.key()
		}
	}
	if ok {
		cat.used = append(cat.used, key)
		return rel, nil
	}
	asked := time.Now()
	rel, under, err := dbcatalog.ReadRelation(ctx, s.conn, s.db.cfg.Dialect, schemaName, name)
	if errors.Is(err, dbcatalog.ErrYounger) {
		return nil, refuseBefore("the relation " + dbcatalog.Name{Schema: schemaName, Table: name}.SQL() + " is younger")
	}
	if err != nil {
		return nil, err
	}
	news := s.becomes(asked, under)
	if s.facts.lags && rel != nil && rel.View {
		if v, ok := s.known().Version(rel); ok && v != rel.Version {
			return nil, refuseBefore("the definition of the view " + rel.SQL() + " is younger")
		}
	}
	if news {
		s.db.facts.put(factKey{path: s.key(), schema: schemaName, name: name}, rel, gen)
		return nil, errSession
	}
	s.db.facts.put(key, rel, gen)
	return rel, nil
}

// refuseBefore refuses what a transaction cannot see of the catalog, though the server goes by it.
func refuseBefore(what string) *sqlplan.Refusal {
	return &sqlplan.Refusal{Class: colseal.ClassSession,
		Reason: what + " than what this transaction sees of the catalog",
		Hint:   "end the transaction, and run it again"}
}

// lags reports whether a transaction, which was asked how far it may lie behind, sees the catalog
// as it was before all that is known of it was forgotten. Until it ends, what it reads then holds
// for itself alone.
func (s *Session) lags(asked time.Time, behind time.Duration) bool {
	return behind > 0 && (s.facts.lags || s.facts.pending&sqlplan.ImportsSnapshot != 0 || asked.Add(-behind).Before(s.db.facts.forgotten()))
}

// becomes records what the session was found to be when it was asked. It reports whether that
// differs from what was known: something changed the session that no statement showed.
func (s *Session) becomes(asked time.Time, now dbcatalog.Session) bool {
	lags := s.lags(asked, now.Behind)
	if lags == s.facts.lags && now.Same(s.facts.Session) {
		return false
	}
	s.facts.note(sqlplan.ChangesSession)
	s.facts.Session, s.facts.lags, s.facts.known = now, lags, true
	return true
}

// Relation describes what a name means on this connection, and records that it was asked for: see
// Outdated. It returns nil if there is no such relation.
func (s *Session) Relation(ctx context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	s.catalog.used = s.catalog.used[:0]
	if err := s.surveyTable(ctx, dbcatalog.Name{Schema: schemaName, Table: name}); err != nil {
		return nil, err
	}
	return s.relation(ctx, schemaName, name)
}

// relation asks the catalog again as long as the session must be read for it.
func (s *Session) relation(ctx context.Context, schemaName, name string) (rel *dbcatalog.Relation, err error) {
	for range maxTries {
		if err = s.Read(ctx); err != nil {
			return nil, err
		}
		if rel, err = s.catalog.Relation(ctx, schemaName, name); !errors.Is(err, errSession) {
			break
		}
	}
	return rel, err
}

// Read reads what names mean on this connection, unless that is known.
func (s *Session) Read(ctx context.Context) error {
	if s.facts.known {
		return nil
	}
	asked := time.Now()
	facts, err := dbcatalog.ReadSession(ctx, s.conn, s.db.cfg.Dialect)
	if err != nil {
		return err
	}
	s.facts.Session, s.facts.lags, s.facts.known = facts, s.lags(asked, facts.Behind), true
	return nil
}

// checkAgain is how long a fact that a refusal had asked for again is believed, whatever
// else is refused because of it. A program may repeat a text that is refused at any rate.
const checkAgain = 5 * time.Second

// Outdated reports whether a fact that the last plan was told from memory is no longer
// true, and forgets all facts then. Somebody else may have added a column: a text that is
// forwarded has the server say so, but one that is refused never gets there.
func (s *Session) Outdated(ctx context.Context) bool {
	if s.facts.lags {
		return false // what it sees never changes
	}
	for _, k := range s.catalog.used {
		known, ok := s.db.facts.check(k, time.Now())
		if !ok {
			continue
		}
		asked := time.Now()
		now, under, err := dbcatalog.ReadRelation(ctx, s.conn, s.db.cfg.Dialect, k.schema, k.name)
		if err == nil && s.becomes(asked, under) {
			return true
		}
		if err != nil {
			return false // the refusal stands: this connection cannot tell more, in a failed transaction for one
		}
		if !reflect.DeepEqual(known, now) {
			s.db.forgetFacts("a statement was refused, and the table is another one")
			return true
		}
	}
	return false
}

// check returns a fact that may be asked for again, and notes that it is.
func (f *factCache) check(k factKey, now time.Time) (rel *dbcatalog.Relation, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.facts[k]
	if !ok || !known.checked.IsZero() && now.Sub(known.checked) < checkAgain {
		return nil, false
	}
	known.checked = now
	f.facts[k] = known
	return known.rel, true
}
