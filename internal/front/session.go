package front

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

// Conn is what a Session asks of the connection that it belongs to.
type Conn interface {
	dbcatalog.Querier

	// TxStatus returns the transaction status that the server reported last: 'I', 'T' or 'E', or 0
	// if the driver does not tell.
	TxStatus() byte

	// Parameter returns what the server reported last for a setting. It returns "" if the server
	// does not report it, or the driver does not tell.
	Parameter(name string) string
}

// Session plans the statements of one connection. Like its connection it is used by one goroutine
// at a time.
type Session struct {
	db   *DB
	conn Conn
	id   uint64 // within db

	// ResetsSession says that code of the program may change the search path between two uses of
	// the connection.
	ResetsSession bool

	env     sqlplan.Env // reused for every Plan call
	recent  sqlplan.Recent
	catalog sessionCatalog
	facts   sessionFacts
	own     ownSurvey
	changes uint64          // counts the changes of the catalog that were made here
	sealing *Sealing        // of the next statement; nil while it is in use
	block   []byte          // memory of its cells, released by Reuse
	held    keycache.Held   // opened the last cell
	opened  telemetry.Cells // of the result that is read
	zone    zone            // the last one that was asked for

	bypassed    atomic.Bool // see Bypassed; not yet noted
	busy        bool        // see Busy
	serverKnown bool        // see lookAtServer

	prepared string // the key under which names stand in what SQL prepared; "" for nothing
}

// sessionFacts are what is known of a session.
type sessionFacts struct {
	known bool   // the fields below are up to date
	gen   uint64 // counts how often they were forgotten

	dbcatalog.Session
	silent   bool // PostgreSQL: the server is one that does not report the search path
	begun    bool // that was found out
	reported bool // the server reports it, and so tells of each change
	lags     bool // see Session.lags

	// pending are the effects of statements that a rollback may undo, or that others see only after
	// a commit.
	pending sqlplan.Effects
}

// NewSession returns the Session of a connection.
func (db *DB) NewSession(conn Conn) *Session {
	s := &Session{db: db, conn: conn, id: db.sessions.Add(1)}
	s.catalog.s = s
	s.env.Catalog, s.env.Recent = &s.catalog, &s.recent
	return s
}

// DB returns what the session's connections share.
func (s *Session) DB() *DB { return s.db }

// note records the effects of a statement.
func (f *sessionFacts) note(e sqlplan.Effects) {
	if e != 0 {
		f.known = false
		f.gen++
	}
}

// alone reports whether the session sees tables that others do not: temporary ones, or its own
// uncommitted changes.
func (f *sessionFacts) alone() bool {
	return f.Temporary || f.pending&(sqlplan.ChangesCatalog|sqlplan.ChangesTemporary) != 0
}

// key identifies what the session's names mean. Sessions that see the same tables have the same
// key. A session that sees others has its own, and a new one after each change.
func (s *Session) key() string {
	if f := &s.facts; f.lags || f.alone() {
		return s.ownKey()
	}
	return s.facts.Path
}

func (s *Session) ownKey() string {
	return s.facts.Path + "\x00" + strconv.FormatUint(s.id, 10) + "." +
		strconv.FormatUint(s.facts.gen, 10)
}

// report records the search path that the server reports, which it does since PostgreSQL 18; "" may
// mean that it does not. It notices what no statement of ours shows: a function that sets the path,
// or a callback of the driver below.
func (f *sessionFacts) report(path string) {
	f.reported = f.reported || path != ""
	if f.reported && f.known && path != f.Setting {
		f.note(sqlplan.ChangesSession)
	}
}

// errSession asks for the session's facts. A statement that does not need the catalog is planned
// without them.
var errSession = hint.With(errors.New("colseal: what names mean on this connection changed while the statement was planned"), "run it again")

// Moment is the generation of the catalog facts, and of the session, for which a plan is right. It
// is taken before the plan is made. So a change while the plan is being made, or while the server
// prepares the statement, outdates the plan.
type Moment struct{ facts, session uint64 }

// Moment returns the present one.
func (s *Session) Moment() Moment {
	s.Sync()
	s.db.surveyIfOld()
	s.db.stagesIfOld()
	return Moment{s.db.facts.generation(), s.facts.gen}
}

// Plan returns what to do with a statement on this connection. Its error is a refusal, or one of
// the connection.
func (s *Session) Plan(ctx context.Context, query string) (*sqlplan.Plan, error) {
	s.Sync()
	if err := s.survey(ctx, query); err != nil {
		return nil, s.inFailedTransaction(query, err)
	}
	if err := s.tellStages(ctx); err != nil {
		return nil, err
	}
	p, err := s.db.planner.Plan(ctx, query, s.environment(1))
	if err != nil {
		if p, err = s.planAgain(ctx, query, 1, err); err != nil {
			return nil, s.inFailedTransaction(query, err)
		}
	}
	if err := s.CheckStrings(ctx, p); err != nil {
		return nil, err
	}
	if p.Bare {
		if err := s.checkBare(ctx); err != nil {
			return nil, s.inFailedTransaction(query, err)
		}
	}
	if p.ComparesNull || p.AsksTerms {
		if err := s.checkSettings(ctx, p); err != nil {
			return nil, s.inFailedTransaction(query, err)
		}
	}
	if p.Effects&sqlplan.Executes != 0 {
		if err := s.checkExecuted(ctx, query); err != nil {
			return nil, s.inFailedTransaction(query, err)
		}
	}
	// The analysis resolves all names of a text as they are now. An end of the transaction within
	// it may give them back another meaning.
	if p.Statements > 1 && p.DependsOnNames() && s.undoes(p.Effects) {
		return nil, &sqlplan.Refusal{Class: colseal.ClassSeveral,
			Reason: "the end of a transaction among several statements, when earlier ones of it may have changed what names mean",
			Hint:   "send the statements one by one"}
	}
	// A plan that seals nothing may depend on the keys, too: it compares cells.
	if !p.Search || p.Spare || s.db.search == nil {
		return p, nil
	}
	n, err := s.liveSearchKeys(ctx, p)
	if err != nil {
		return nil, err
	}
	if n <= 1 {
		return p, nil
	}
	return s.planFor(ctx, query, n)
}

// checkExecuted refuses EXECUTE of a statement that SQL prepared when names meant something else, and
// of one of a sealed table that the driver below prepared: SQL gives it values as they are, and
// nothing opens what it returns.
func (s *Session) checkExecuted(ctx context.Context, query string) error {
	if s.prepared != "" {
		if err := s.Read(ctx); err != nil {
			return err
		}
		if s.key() != s.prepared {
			return &sqlplan.Refusal{Class: colseal.ClassSession,
				Reason: "EXECUTE of what may have been prepared when names meant other tables",
				Hint:   "execute the statement itself, with parameters, or set the search path as it was at the PREPARE"}
		}
	}
	for _, name := range sqlplan.Executed(query, s.db.cfg.Dialect) {
		rows, err := s.conn.Query(ctx, "SELECT statement FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql AND name = $1", name)
		if err != nil {
			return err
		}
		for _, row := range rows {
			p, err := s.planFor(ctx, row.Text(0), 1)
			if err != nil || p.Sealed {
				return &sqlplan.Refusal{Class: colseal.ClassUnsupported,
					Reason: "EXECUTE of a statement of a sealed table that was not prepared by SQL",
					Hint:   "execute it through the driver that prepared it, which gives it its parameters"}
			}
		}
	}
	return nil
}

// undoes reports whether effects may undo earlier ones that may have changed what names mean.
func (s *Session) undoes(e sqlplan.Effects) bool {
	return e&sqlplan.EndsTransaction != 0 && s.facts.pending != 0
}

// Unsettles reports whether a statement may change what names mean in later ones that are planned
// before it is executed.
func (s *Session) Unsettles(p *sqlplan.Plan) bool {
	return p.Effects&(sqlplan.ChangesCatalog|sqlplan.ChangesTemporary|sqlplan.ChangesSession) != 0 || s.undoes(p.Effects)
}

// inFailedTransaction replaces the server's error for a query in a failed transaction. It returns a
// refusal if the text may end that transaction before it comes to a table.
func (s *Session) inFailedTransaction(query string, err error) error {
	if dbcatalog.SQLState(err) != "25P02" || !sqlplan.Several(query, s.db.cfg.Dialect) {
		return err
	}
	return &sqlplan.Refusal{Class: colseal.ClassSeveral,
		Reason: "several statements in one text, one of which names a sealed table, in a transaction that has failed: what names mean cannot be looked up in it",
		Hint:   "end the transaction first, and send the statements one by one"}
}

// planFor asks the planner.
func (s *Session) planFor(ctx context.Context, query string, searchKeys int) (*sqlplan.Plan, error) {
	p, err := s.db.planner.Plan(ctx, query, s.environment(searchKeys))
	if err != nil {
		return s.planAgain(ctx, query, searchKeys, err)
	}
	return p, nil
}

// planAgain asks the planner again, which returned err: if the session must be read for it, and once
// more if it refused because of facts that are no longer true.
func (s *Session) planAgain(ctx context.Context, query string, searchKeys int, err error) (*sqlplan.Plan, error) {
	var p *sqlplan.Plan
	if p, err = s.planRead(ctx, query, err); err != nil && errors.Is(err, colseal.ErrRefused) && s.Outdated(ctx) {
		if p, err = s.db.planner.Plan(ctx, query, s.environment(searchKeys)); err != nil {
			return s.planRead(ctx, query, err)
		}
	}
	return p, err
}

// environment returns what is known of the session, for the planner.
func (s *Session) environment(searchKeys int) *sqlplan.Env {
	s.catalog.used = s.catalog.used[:0]
	s.env.SearchKeys, s.env.SearchPath = searchKeys, unreadPath
	if s.facts.known {
		s.env.SearchPath, s.env.NullWords = s.key(), s.facts.NullWords
	}
	return &s.env
}

// planRead asks the planner again, which returned err, as long as the session must be read for it.
func (s *Session) planRead(ctx context.Context, query string, err error) (p *sqlplan.Plan, _ error) {
	for try := 1; try < maxTries && errors.Is(err, errSession); try++ {
		if err := s.Read(ctx); err != nil {
			return nil, err
		}
		s.env.SearchPath, s.env.NullWords = s.key(), s.facts.NullWords
		p, err = s.db.planner.Plan(ctx, query, &s.env)
	}
	return p, err
}

// maxTries bounds how often something is asked of a session that turns out to differ from what was
// known. It may not have been read yet, then something that no statement showed may have changed
// it, and then the transaction may have fallen behind the catalog.
const maxTries = 4

// unreadPath stands for the search path of a session that was not read. No plan that used the
// catalog is ever kept under it, because the catalog answers errSession.
const unreadPath = "\x00unread"

func (s *Session) liveSearchKeys(ctx context.Context, p *sqlplan.Plan) (int, error) {
	k := columnKeys{col: s.db.search}
	source, err := s.openedKeys(ctx)
	if err == nil {
		err = k.find(ctx, s, source, p)
	}
	if err != nil {
		return 0, keyError(s.db.search, err)
	}
	return len(k.live), nil
}

// CheckStrings refuses a statement in which the server may find other string literals than the
// analysis, or than Colseal wrote: one with a backslash, while standard_conforming_strings is off,
// and one that touches a sealed column in some encodings. With the setting off, the server takes no
// other literal without a backslash for another one, and one with U& for an error.
func (s *Session) CheckStrings(ctx context.Context, p *sqlplan.Plan) error {
	if !p.Sealed && !p.Backslash || s.db.cfg.Dialect != dialect.Postgres {
		return nil
	}
	if p.Sealed && foreignEncoding(s.conn.Parameter("client_encoding")) {
		return &sqlplan.Refusal{
			Class:  colseal.ClassSession,
			Reason: "the client_encoding of this connection is one that the analysis does not support",
			Hint:   "set client_encoding to UTF8 in the connection string",
		}
	}
	if !p.Backslash {
		return nil
	}
	return s.checkBackslash(ctx)
}

func (s *Session) checkBackslash(ctx context.Context) error {
	off := false
	if s.conn.TxStatus() != 0 { // the server tells of each change
		off = s.conn.Parameter("standard_conforming_strings") == "off"
	} else {
		if err := s.Read(ctx); err != nil {
			return err
		}
		off = s.facts.NonStdText
	}
	if !off {
		return nil
	}
	return &sqlplan.Refusal{
		Class:  colseal.ClassSession,
		Reason: "standard_conforming_strings is off on this connection, and the statement has or gets a backslash, which then means something else",
		Hint:   "SET standard_conforming_strings = on, which is PostgreSQL's default",
	}
}

// checkBare refuses a statement with a name beyond ASCII that has no quotes, unless the server takes
// it as it is written. In a database with an encoding of one byte, it folds the case of letters
// beyond ASCII, too, as the database's locale has it.
func (s *Session) checkBare(ctx context.Context) error {
	encoding := s.conn.Parameter("server_encoding")
	if encoding == "" {
		rows, err := s.conn.Query(ctx, "SELECT pg_catalog.getdatabaseencoding()")
		if err != nil {
			return err
		}
		if len(rows) == 1 {
			encoding = rows[0].Text(0)
		}
	}
	if encoding == "UTF8" {
		return nil
	}
	return &sqlplan.Refusal{
		Class:  colseal.ClassSession,
		Reason: "a name has a letter beyond ASCII and no quotes, and the database's encoding is not UTF8: the server may fold the letter's case",
		Hint:   "write the name in double quotes, as it stands in the catalog",
	}
}

// checkSettings refuses a statement that would have another answer than the analysis expects, by a
// setting of the session.
func (s *Session) checkSettings(ctx context.Context, p *sqlplan.Plan) error {
	if err := s.Read(ctx); err != nil {
		return err
	}
	switch {
	case p.ComparesNull && s.facts.NullEquals:
		return &sqlplan.Refusal{
			Class:  colseal.ClassSession,
			Reason: "transform_null_equals is on on this connection, and the statement compares with NULL by =, which then means IS NULL",
			Hint:   "write IS NULL, or SET transform_null_equals = off, which is PostgreSQL's default",
		}
	case p.AsksTerms && s.facts.FuzzyLimit:
		return &sqlplan.Refusal{
			Class:  colseal.ClassSession,
			Reason: "gin_fuzzy_search_limit is set on this connection, by which a search for terms leaves rows out",
			Hint:   "SET gin_fuzzy_search_limit = 0, which is PostgreSQL's default",
		}
	}
	return nil
}

// foreignEncoding reports whether the server reads statements in an encoding in which a byte that
// is ASCII in UTF-8 can be a part of another character. It would find other strings and names in
// them than the analysis. No server uses such an encoding by itself: a client asked for it.
func foreignEncoding(name string) bool {
	switch name {
	case "BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC":
		return true
	}
	return false
}

// Executed records what a statement did, or what its error tells.
func (s *Session) Executed(p *sqlplan.Plan, err error) {
	s.NoteError(err)
	if p.Observed != nil {
		s.db.Observed(context.Background(), p.Observed)
	}
	if p.Effects == 0 {
		return
	}
	if p.Effects&sqlplan.EndsTransaction != 0 {
		s.ended()
	}
	if p.Effects&sqlplan.Prepares != 0 {
		if s.prepared != "" && s.prepared != s.key() {
			s.prepared = "\x00several"
		} else {
			s.prepared = s.key()
		}
	}
	changes := p.Effects &^ (sqlplan.EndsTransaction | sqlplan.Prepares | sqlplan.Executes)
	s.facts.note(changes)
	// A driver that does not tell leaves open whether the statement itself opened a transaction.
	if s.conn.TxStatus() != 'I' {
		s.facts.pending |= changes
	}
	s.changed(changes, "a statement changed it")
}

// changed records what statements of this session changed for all.
func (s *Session) changed(e sqlplan.Effects, why string) {
	if e&sqlplan.ChangesDependents != 0 {
		s.changes++
		s.db.survey.need(surveyNeeded)
	}
	if e&sqlplan.ChangesCatalog != 0 {
		s.db.forgetFacts(why)
	}
}

// NoteError forgets the catalog facts if err says that they are out of date. On SQLite any error
// may have ended a transaction and undone its temporary tables: by OR ROLLBACK, RAISE(ROLLBACK), an
// interrupted write, a full disk.
func (s *Session) NoteError(err error) {
	switch {
	case err == nil:
	case s.db.cfg.Dialect == dialect.SQLite:
		s.facts.note(sqlplan.ChangesSession)
	case staleCatalog(err):
		s.db.forgetFacts("the server says that a table changed")
	}
}

// Sync records what happened to the session besides the statements that went through here: that a
// transaction ended, and that the search path is another one.
func (s *Session) Sync() {
	if f := &s.facts; !f.silent || f.lags || f.pending != 0 || s.bypassed.Load() {
		s.sync()
	}
}

func (s *Session) sync() {
	s.noteBypass()
	if !s.facts.begun {
		s.facts.begun = true
		s.facts.silent = silent(s.conn)
	}
	if !s.facts.silent {
		s.facts.report(s.conn.Parameter("search_path"))
	}
	if (s.facts.pending != 0 || s.facts.lags) && s.conn.TxStatus() == 'I' {
		s.EndTx()
	}
}

// silent reports whether a server will not report the search path: that of a driver which tells
// nothing, or one before PostgreSQL 18. What calls itself otherwise may report it.
func silent(conn Conn) bool {
	major, _, _ := strings.Cut(conn.Parameter("server_version"), ".")
	version, err := strconv.Atoi(major)
	return conn.Parameter("search_path") == "" &&
		(err == nil && version < 18 || major == "" && conn.TxStatus() == 0)
}

// Busy says whether the connection is in use, as by a COPY, so that it cannot be lent to the
// keyring.
func (s *Session) Busy(busy bool) { s.busy = busy }

// Idle reports whether the server says that no transaction is open.
func (s *Session) Idle() bool { return s.conn.TxStatus() == 'I' }

// WarmTx fetches the keys that a transaction may need, of ctx's scope and for the schema's columns.
// Within the transaction they may be out of reach: on SQLite a transaction that writes locks the
// whole database with the keyring, and on PostgreSQL transactions may hold all connections, as
// behind a pooler. A failure shows up when a key is needed, if one is.
//
// WarmTx also makes the survey: a transaction that sees the catalog as it was may need another
// connection for it.
func (s *Session) WarmTx(ctx context.Context, readOnly bool) {
	db := s.db
	if db.cfg.Dialect == dialect.Postgres && db.survey.awaited() && s.Idle() {
		_ = s.surveyShared(ctx) // else the first statement says why not
	}
	if readOnly || !db.seals() {
		return
	}
	if o := db.keys.ready.Load(); o != nil && o.cache != nil && db.warm(ctx, o) {
		if !s.serverKnown {
			s.lookAtServer(ctx, o)
		}
		return
	}
	if db.cfg.Dialect == dialect.Postgres && !db.mayWarm() {
		return
	}
	if db.cfg.Dialect != dialect.Postgres {
		_ = db.fetchKeys(ctx)
		return
	}
	// A transaction that needs no key must not wait for KMS for long, nor each one.
	bounded, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	err := s.waiting(ctx, nil, func() error { return db.fetchKeys(bounded) })
	if ctx.Err() == nil && (bounded.Err() != nil || errors.Is(err, keyring.ErrKeyUnavailable)) {
		db.warmAgain.Store(time.Now().Add(warmPause).UnixNano())
	}
	if o := db.keys.ready.Load(); err == nil && o != nil && !s.serverKnown {
		s.lookAtServer(ctx, o)
	}
}

// How long a transaction's beginning waits for keys, and after a failure none does.
const (
	warmTime  = 3 * time.Second
	warmPause = 10 * time.Second
)

func (db *DB) mayWarm() bool { return time.Now().UnixNano() >= db.warmAgain.Load() }

// warm reports whether the keys that seal in ctx's scope are in memory.
func (db *DB) warm(ctx context.Context, o *openKeys) bool {
	return db.sealsNothing(ctx) || (db.search == nil || o.cache.Held(ctx, keyring.PurposeSearch)) && (db.random == nil || o.cache.Held(ctx, keyring.PurposeData))
}

// fetchKeys makes sure that they are.
func (db *DB) fetchKeys(ctx context.Context) error {
	if db.sealsNothing(ctx) {
		return nil
	}
	o, err := db.keys.get(ctx)
	if err == nil && db.search != nil {
		err = o.Warm(ctx, keyring.PurposeSearch)
	}
	if err == nil && db.random != nil {
		err = o.Warm(ctx, keyring.PurposeData)
	}
	return err
}

// EndTx is called when no transaction is open any more.
func (s *Session) EndTx() {
	s.noteBypass()
	s.ended()
	s.facts.pending = 0
}

// ended records that a transaction, or a part of it, has ended. The effects of its statements stay
// pending until the server, or the front, says that no transaction is open. After COMMIT AND CHAIN,
// or ROLLBACK TO, one still is.
func (s *Session) ended() {
	pending := s.facts.pending
	if s.facts.lags {
		pending |= sqlplan.ChangesSession
	}
	if pending == 0 {
		return
	}
	s.facts.lags = false
	s.facts.note(pending)
	s.changed(pending, "a transaction that changed it has ended")
}

// Reset is called when the connection was taken from its pool again.
func (s *Session) Reset() {
	if s.ResetsSession && s.facts.known && !s.facts.reported {
		s.facts.note(sqlplan.ChangesSession) // a callback may have set the search path
	}
}

// Bypassed is called when the program gets the connection below. Whatever it does there, nothing
// that is known of the session or of the catalog holds afterwards. Whoever keeps rows or a
// transaction that have ended may call it while the connection is another goroutine's.
func (s *Session) Bypassed() { s.bypassed.Store(true) }

func (s *Session) noteBypass() {
	if !s.bypassed.CompareAndSwap(true, false) {
		return
	}
	s.facts.note(sqlplan.ChangesSession)
	s.facts.pending |= sqlplan.ChangesCatalog | sqlplan.ChangesSession | sqlplan.ChangesDependents
	s.changes++
}

// PlanResult plans a statement again that was executed and whose result p does not describe. This
// connection is busy with the result, so it asks over a new one with the same search path. What
// that one does not see (temporary tables, uncommitted changes of this session) is already known
// here, because it was sent.
func (s *Session) PlanResult(ctx context.Context, query string, p *sqlplan.Plan, labels []string) (*sqlplan.Plan, error) {
	s.db.forgetFacts("a result has other columns than expected")
	// A connector over a pool that is used up would wait for the connection that waits here.
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	p, err := s.planAfresh(ctx, query, p.SearchKeys)
	if err != nil {
		return nil, fmt.Errorf("colseal: the statement was executed, but its result has other columns than expected, and how to read it could not be found out: %s", err.Error()) // not wrapped: it may be driver.ErrBadConn
	}
	if !p.Describes(labels, s.db.cfg.Dialect) {
		return nil, errResultColumns
	}
	return p, nil
}

var errResultColumns = hint.With(errors.New("colseal: the statement was executed, but its result has other columns than its text and the catalog say, "+
	"so that it is not known which are sealed"), "name the columns instead of *, and run it again if tables were changed meanwhile")

// freshTimeout bounds planAfresh, which opens a new connection.
const freshTimeout = 10 * time.Second

func (s *Session) planAfresh(ctx context.Context, query string, searchKeys int) (p *sqlplan.Plan, err error) {
	conn, closeConn, err := s.db.cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeConn()) }()
	if s.db.cfg.Dialect == dialect.Postgres && s.facts.Setting != "" {
		if _, err := conn.Query(ctx, "SELECT pg_catalog.set_config('search_path', $1, false)", s.facts.Setting); err != nil {
			return nil, err
		}
	}
	return s.db.NewSession(conn).planFor(ctx, query, max(searchKeys, 1))
}
