package driver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlplan"
)

// factKey is one name as one kind of session resolves it.
type factKey struct {
	path         string // session.key
	schema, name string
}

// maxFacts bounds the facts of one database handle. More tables than that are looked up
// again now and then.
const maxFacts = 4096

// factCache holds what the server said about names. It is safe for concurrent use.
type factCache struct {
	mu    sync.RWMutex // guards what follows
	gen   uint64       // counts how often everything was forgotten
	facts map[factKey]fact
}

// fact is what the server said about a name; nil: there is no such relation.
type fact struct {
	rel     *dbcatalog.Relation
	checked time.Time // when a refusal had it asked for again; zero if none had
}

func newFactCache() *factCache { return &factCache{facts: make(map[factKey]fact)} }

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
	clear(f.facts)
}

func (f *factCache) generation() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.gen
}

// connCatalog answers the planner over the connection that the statement is for, so that
// it sees what the statement will see: the search path, temporary tables, and changes
// that are not committed.
type connCatalog struct {
	c    *conn
	used []factKey // what the last plan was told from memory: see outdated
}

// Relation implements sqlplan.Catalog.
func (cat *connCatalog) Relation(ctx context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	c := cat.c
	if !c.session.known {
		return nil, errSession
	}
	key := factKey{path: c.session.key(), schema: schemaName, name: name}
	rel, ok, gen := c.st.facts.get(key)
	if ok {
		cat.used = append(cat.used, key)
		return rel, nil
	}
	rel, err := cat.ask(ctx, schemaName, name)
	if err != nil {
		return nil, err
	}
	c.st.facts.put(key, rel, gen)
	return rel, nil
}

// ask is Relation without the memory.
func (cat *connCatalog) ask(ctx context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	return dbcatalog.ReadRelation(ctx, cat.c.own(), cat.c.st.cfg.Dialect, schemaName, name)
}

// readSession reads what names mean on this connection.
func (c *conn) readSession(ctx context.Context) error {
	read, err := dbcatalog.ReadSession(ctx, c.own(), c.st.cfg.Dialect)
	if err != nil {
		return err
	}
	c.session.Session, c.session.known = read, true
	return nil
}

// freshTimeout bounds planAfresh, which connects anew.
const freshTimeout = 10 * time.Second

// planAfresh plans a text over a new connection with this one's search path, because this
// one is busy with the result of the text. What it does not see (temporary tables, changes
// of this session that are not committed) this package knows already, having sent them.
func (c *conn) planAfresh(ctx context.Context, query string, searchKeys int) (p *sqlplan.Plan, err error) {
	c.st.forgetCatalog("a result has other columns than expected")
	// A connector over a pool that is used up would wait for the connection that waits here.
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	inner, err := c.st.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	fresh := newConn(c.st, inner)
	defer func() { err = errors.Join(err, fresh.Close()) }()
	if c.st.cfg.Dialect == Postgres && c.session.Setting != "" {
		if _, err := fresh.own().Query(ctx, "SELECT pg_catalog.set_config('search_path', $1, false)", c.session.Setting); err != nil {
			return nil, err
		}
	}
	return fresh.planFor(ctx, query, max(searchKeys, 1))
}
