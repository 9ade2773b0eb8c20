package driver

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlplan"
)

// session is what is known of one connection's session.
type session struct {
	id    uint64 // of the connection, within its state
	known bool   // the fields below are up to date
	gen   uint64 // counts how often they were forgotten

	dbcatalog.Session
	reported bool // PostgreSQL: the server tells of each change of Setting

	inTx bool // a driver.Tx is open
	// pending are the effects of statements that a rollback may undo, or that
	// others will see only after a commit.
	pending sqlplan.Effects
}

// note takes in the effects of a statement.
func (s *session) note(e sqlplan.Effects) {
	if e != 0 {
		s.known = false
		s.gen++
	}
}

// private reports whether the session sees tables that others do not: temporary ones,
// or changes of its own that are not committed.
func (s *session) private() bool {
	return s.Temporary || s.pending&sqlplan.ChangesCatalog != 0
}

// key identifies what the session's names mean: equal for sessions that see the same
// tables, and its own, anew after each change, for one that does not.
func (s *session) key() string {
	if s.private() {
		return s.Path + "\x00" + strconv.FormatUint(s.id, 10) + "." + strconv.FormatUint(s.gen, 10)
	}
	return s.Path
}

// report takes in the search path that the server reports, which it does since
// PostgreSQL 18; "" may mean that it does not. It notices what no text of ours shows: a
// function that sets the path, or a callback of the driver below.
func (s *session) report(path string) {
	s.reported = s.reported || path != ""
	if s.reported && s.known && path != s.Setting {
		s.note(sqlplan.ChangesSession)
	}
}

// errSession asks for the session's facts: a statement that does not need the catalog is
// planned without them.
var errSession = errors.New("colseal: session not read yet")

// plan returns what to do with a text on this connection.
func (c *conn) plan(ctx context.Context, query string) (*sqlplan.Plan, error) {
	c.settle()
	p, err := c.planFor(ctx, query, 1)
	if err != nil {
		return nil, err
	}
	if err := c.checkStrings(ctx, p, query); err != nil {
		return nil, err
	}
	// A plan that seals nothing may depend on the keys, too: it compares cells.
	if !p.Search || c.st.search == nil {
		return p, nil
	}
	n, err := c.liveSearchKeys(ctx)
	if err != nil {
		return nil, err
	}
	if n <= 1 {
		return p, nil
	}
	return c.planFor(ctx, query, n)
}

// planFor asks the planner, once more if it refused because of facts that are no longer true.
func (c *conn) planFor(ctx context.Context, query string, searchKeys int) (*sqlplan.Plan, error) {
	p, err := c.planOnce(ctx, query, searchKeys)
	if err != nil && errors.Is(err, ErrRefused) && c.outdated(ctx) {
		return c.planOnce(ctx, query, searchKeys)
	}
	return p, err
}

// planOnce reads the session's facts if the planner needs the catalog.
func (c *conn) planOnce(ctx context.Context, query string, searchKeys int) (*sqlplan.Plan, error) {
	c.catalog.used = c.catalog.used[:0]
	c.env.SearchKeys = searchKeys
	c.env.SearchPath = unreadPath
	if c.session.known {
		c.env.SearchPath = c.session.key()
	}
	p, err := c.st.plans.Plan(ctx, query, &c.env)
	if err == nil || !errors.Is(err, errSession) {
		return p, err
	}
	if err := c.readSession(ctx); err != nil {
		return nil, err
	}
	c.env.SearchPath = c.session.key()
	return c.st.plans.Plan(ctx, query, &c.env)
}

// unreadPath stands for the search path of a session that was not read. No plan that
// used the catalog is ever kept under it, because the catalog answers errSession.
const unreadPath = "\x00unread"

func (c *conn) liveSearchKeys(ctx context.Context) (int, error) {
	keys, err := c.st.ring.keys(ctx)
	if err != nil {
		return 0, keyError(c.st.search, err)
	}
	live, err := keys.SearchKeys(ctx, keyColumn(c.st.search))
	if err != nil {
		return 0, keyError(c.st.search, err)
	}
	return len(live), nil
}

// checkStrings refuses a text whose string literals the analysis reads differently from
// the server: standard_conforming_strings is off, and the text touches a sealed column,
// or may do so because a backslash made the analysis see other literals than there are.
func (c *conn) checkStrings(ctx context.Context, p *sqlplan.Plan, query string) error {
	if c.st.cfg.Dialect != Postgres {
		return nil
	}
	off := false
	switch {
	case c.pg != nil && p.Sealed && c.pg.foreignEncoding():
		return &QueryError{
			Class:  sqlplan.ClassSession,
			Reason: "the client_encoding of this connection is one that the analysis does not support",
			Hint:   "set client_encoding to UTF8 in the connection string",
		}
	case c.pg != nil:
		off = c.pg.nonstandardStrings() // the server tells of each change
	case !c.session.known && (p.Sealed || strings.Contains(query, `\`)):
		if err := c.readSession(ctx); err != nil {
			return err
		}
		off = c.session.NonStdText
	default:
		off = c.session.NonStdText
	}
	if !off || (!p.Sealed && !strings.Contains(query, `\`)) {
		return nil
	}
	return &QueryError{
		Class:  sqlplan.ClassSession,
		Reason: "standard_conforming_strings is off on this connection, which the analysis does not support",
		Hint:   "SET standard_conforming_strings = on, which is PostgreSQL's default",
	}
}

// after takes in what a statement did, or what its error tells.
func (c *conn) after(p *sqlplan.Plan, err error) {
	if err != nil && staleCatalog(err) {
		c.st.forgetCatalog("the server says that a table changed")
	}
	c.undone(err)
	if p.Effects == 0 {
		return
	}
	c.session.note(p.Effects)
	// Without pgx there is no telling whether the text itself opened a transaction.
	if c.session.inTx || c.pg == nil || c.pg.inTx() {
		c.session.pending |= p.Effects
	}
	if p.Effects&sqlplan.ChangesCatalog != 0 {
		c.st.forgetCatalog("a statement changed it")
	}
}

// undone takes in that an error may have ended a transaction of SQLite and undone its
// temporary tables: by OR ROLLBACK, RAISE(ROLLBACK), an interrupted write, a full disk.
func (c *conn) undone(err error) {
	if err != nil && c.st.cfg.Dialect == SQLite {
		c.session.note(sqlplan.ChangesSession)
	}
}

// settle takes in what happened to the session besides the texts that went through here:
// that a transaction ended which a text began, and that the search path is another one.
func (c *conn) settle() {
	if c.pg != nil {
		c.session.report(c.pg.searchPath())
	}
	if c.session.pending != 0 && !c.session.inTx && c.pg != nil && !c.pg.inTx() {
		c.endTx()
	}
}

// endTx is called when no transaction is open any more.
func (c *conn) endTx() {
	c.session.inTx = false
	pending := c.session.pending
	if pending == 0 {
		return
	}
	c.session.pending = 0
	c.session.note(pending)
	if pending&sqlplan.ChangesCatalog != 0 {
		c.st.forgetCatalog("a transaction that changed it has ended")
	}
}
