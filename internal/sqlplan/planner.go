package sqlplan

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hot"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/lite"
	"github.com/colseal/colseal/internal/sqlparse/pg"
	"github.com/colseal/colseal/schema"
)

// Options tune a Planner. The zero value is ready to use.
type Options struct {
	MaxPlans     int // plans cached, by SQL text; default 4096
	MaxPlanBytes int // what the cached plans take together, about; default 32 MiB

	MaxBytes   int // longest SQL text that is analysed, in bytes; default 1 MiB
	MaxNesting int // deepest nesting of parentheses, brackets and CASE; default 500

	KeyTable dbcatalog.Name // the keyring table, which statements may only read; zero: none is known

	Refuse func(*Plan) *Refusal // why the program is refused a statement that can be done. If nil, it is not
}

// Env is what a plan depends on besides the text and the schema.
type Env struct {
	Catalog    Catalog
	SearchPath string // the connection's search path, as the server prints it
	SearchKeys int    // live search keys of deterministic columns; 0 counts as 1
	NullWords  bool   // as in codec.Session. It belongs to SearchPath, by which plans are kept
	Known      *Known // what the connection knows that others do not. If nil, the planner's is right

	Recent *Recent // what the connection found lately, to find it faster; may be nil
}

// Stats counts what a Planner did since it was made.
type Stats struct {
	Hits, Misses, Refused uint64
	Plans                 int // texts whose plans are kept now
}

// Planner makes plans for one schema and caches them by SQL text. It is safe for
// concurrent use. The texts, with the literals in them, stay in memory as long as they
// are cached.
type Planner struct {
	dialect dialect.Dialect
	options Options
	limits  sqlparse.Limits
	tables  map[string][]*schema.Table // by relation name, as the dialect compares names
	keyring dbcatalog.Name
	// registered are the tables in the order of the schema, and columns the sealed ones of each.
	registered []*schema.Table
	columns    map[*schema.Table][]*schema.Column
	excluded   []*schema.Table
	functions  []schema.Function
	words      words           // what a text must contain to name a table
	strict     words           // of tables with a column that is not in StageCopy, and of the keyring
	sealing    bool            // there is such a table
	copies     bool            // some column is in StageCopy
	terms      bool            // some column has terms
	names      map[string]bool // the registered names of tables and columns, as the dialect compares them

	known      atomic.Pointer[Known]
	generation atomic.Uint64

	hits            hot.Counter
	misses, refused atomic.Uint64
}

// New returns a Planner for a schema. A nil schema seals nothing.
func New(s *schema.Schema, d dialect.Dialect, o Options) *Planner {
	if o.MaxPlans <= 0 {
		o.MaxPlans = 4096
	}
	if o.MaxPlanBytes <= 0 {
		o.MaxPlanBytes = 32 << 20
	}
	p := &Planner{
		dialect: d,
		options: o,
		limits:  sqlparse.Limits{Bytes: o.MaxBytes, Nesting: o.MaxNesting},
		tables:  map[string][]*schema.Table{},
		columns: map[*schema.Table][]*schema.Column{},
		names:   map[string]bool{},
		keyring: o.KeyTable,
		words:   words{dialect: d},
		strict:  words{dialect: d},
	}
	p.known.Store(p.newKnown())
	if o.KeyTable.Table != "" {
		p.words.add(p.fold(o.KeyTable.Table))
		p.strict.add(p.fold(o.KeyTable.Table))
	}
	if s == nil {
		return p
	}
	p.registered = s.Tables()
	for _, t := range p.registered {
		name := p.fold(t.Name)
		p.words.add(name)
		p.tables[name] = append(p.tables[name], t)
		p.names[name] = true
		p.columns[t] = t.Columns()
		for _, c := range p.columns[t] {
			p.names[p.fold(c.Name)] = true
			p.copies = p.copies || c.Stage == schema.StageCopy
			p.terms = p.terms || c.Suite().HasTerms() || c.Was != nil && c.Was.Suite().HasTerms()
		}
		if !copiesAll(p.columns[t]) {
			p.strict.add(name)
			p.sealing = true
		}
	}
	p.excluded, p.functions = s.Excluded(), s.Functions()
	for _, t := range p.excluded {
		p.tables[p.fold(t.Name)] = append(p.tables[p.fold(t.Name)], t)
	}
	return p
}

// fold returns a name as the dialect compares it. PostgreSQL's are compared as they
// stand in the catalog, cut to the length that it has room for, SQLite's without regard
// to ASCII case.
func (p *Planner) fold(name string) string {
	if p.dialect != dialect.SQLite {
		return dbcatalog.ClipName(name)
	}
	return dbcatalog.FoldASCII(name)
}

// Plan returns what to do with a text. The error is a *Refusal, or the catalog's as
// it is. Plans of texts that touch nothing sealed need neither env nor catalog.
func (p *Planner) Plan(ctx context.Context, sql string, env *Env) (*Plan, error) {
	generation, known := p.generation.Load(), p.knownOf(env)
	if plan := known.plans.get(sql, env, generation); plan != nil {
		p.hits.Add(1)
		return plan, nil
	}
	p.misses.Add(1)
	sql = strings.Clone(sql) // it is kept, and may be a part of something long
	plan, usedCatalog, err := p.analyse(ctx, sql, env, known)
	if err != nil {
		p.refused.Add(1)
		return nil, err
	}
	plan.Backslash, plan.Bare = plan.hasBackslash(sql), p.hasBare(sql, known)
	plan.ComparesNull, plan.AsksTerms = plan.Sealed && p.comparesNull(sql), plan.asksTerms()
	known.plans.keep(sql, env, plan, generation, usedCatalog)
	return plan, nil
}

// knownOf returns what the connection knows.
func (p *Planner) knownOf(env *Env) *Known {
	if env != nil && env.Known != nil {
		return env.Known
	}
	return p.known.Load()
}

// Several reports whether a text is several statements.
func Several(sql string, d dialect.Dialect) bool {
	file, err := (&Planner{dialect: d}).parse(sql)
	return err == nil && len(file.Statements) > 1
}

// Executed returns the names of the prepared statements that a text executes.
func Executed(sql string, d dialect.Dialect) (names []string) {
	file, err := (&Planner{dialect: d}).parse(sql)
	if err != nil {
		return nil
	}
	for i := range file.Statements {
		sqlparse.Inspect(file.Statements[i].Stmt, func(node any) bool {
			if u, ok := node.(*sqlparse.Utility); ok && u.Runs != "" {
				names = append(names, u.Runs)
			}
			return true
		})
	}
	return names
}

// keep keeps a plan under what it depends on.
func (ps *plans) keep(sql string, env *Env, plan *Plan, generation uint64, usedCatalog bool) {
	switch {
	case !usedCatalog && !plan.Search:
		ps.putAlways(sql, plan)
	case env != nil: // otherwise it was made without the facts that others have
		key := variantKey{sql, env.SearchPath, max(env.SearchKeys, 1)}
		ps.putVariant(&variantPlan{key: key, plan: plan, generation: generation, catalog: usedCatalog})
	}
}

// Invalidate makes every plan that used the catalog to be made again.
func (p *Planner) Invalidate() { p.generation.Add(1) }

// Stats returns the counts so far.
func (p *Planner) Stats() Stats {
	return Stats{Hits: p.hits.Load(), Misses: p.misses.Load(), Refused: p.refused.Load(), Plans: p.known.Load().plans.len()}
}

// analyse makes a plan without looking at the cache.
func (p *Planner) analyse(ctx context.Context, sql string, env *Env, known *Known) (plan *Plan, usedCatalog bool, err error) {
	a, err := p.begin(ctx, sql, env, known)
	switch {
	case err != nil:
		var r *Refusal
		if errors.As(err, &r) && p.namesCopiesOnly(sql, known) {
			return &Plan{Effects: ChangesCatalog | ChangesSession | ChangesDependents, Observed: r}, true, nil
		}
		return nil, false, err
	case a == nil:
		return p.forward(sql), false, nil
	case p.copies:
		return p.analyseCopies(a)
	}
	plan, err = p.run(a)
	return plan, a.usedCatalog, err
}

// begin reads a text for its analysis; nil for one that mentions nothing sealed.
func (p *Planner) begin(ctx context.Context, sql string, env *Env, known *Known) (*analysis, error) {
	if !p.mentions(sql, known) {
		return nil, nil
	}
	if env == nil {
		env = &Env{}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := p.parse(sql)
	if err != nil {
		return nil, p.unreadable(sql, err)
	}
	return p.newAnalysis(ctx, file, env, known, copyBoth), nil
}

// newAnalysis begins an analysis, with the columns in StageCopy taken as m says.
func (p *Planner) newAnalysis(ctx context.Context, file *sqlparse.File, env *Env, known *Known, m mode) *analysis {
	return &analysis{p: p, ctx: ctx, env: env, file: file, known: known, mode: m}
}

// run analyses a text, and refuses it if the analysis fails in a way that it should not.
func (p *Planner) run(a *analysis) (plan *Plan, err error) {
	defer func() {
		switch s := recover().(type) {
		case nil:
		case stopped:
			plan, err = a.unless(s.err)
		default: // what was thrown may hold a part of the text
			plan, err = nil, p.unreadable(a.file.Text, errors.New("analysis failed"))
		}
	}()
	if plan, err = a.run(); err != nil || p.options.Refuse == nil {
		return plan, err
	}
	if r := p.options.Refuse(plan); r != nil {
		return nil, r
	}
	return plan, nil
}

func (p *Planner) parse(sql string) (*sqlparse.File, error) {
	if p.dialect == dialect.SQLite {
		return lite.Parse(sql, p.limits)
	}
	return pg.Parse(sql, p.limits)
}

// unreadable makes the refusal of a text that names a sealed table and cannot be
// analysed.
func (p *Planner) unreadable(sql string, err error) *Refusal {
	r := &Refusal{
		Class:  colseal.ClassUnreadable,
		Query:  p.Redact(sql),
		Reason: "the statement names a sealed table and cannot be analysed",
		Hint:   "write it in SQL that the server's grammar accepts, or split it",
	}
	if e, ok := sqlparse.AsError(err); ok {
		r.Pos = e.Pos
		r.Reason += ": " + e.Reason
	}
	before, after := r.Query[:min(r.Pos, len(r.Query))], r.Query[min(r.Pos, len(r.Query)):]
	placeholder := strings.HasSuffix(strings.TrimSpace(before), "?") || strings.HasPrefix(after, ":") && !strings.HasPrefix(after, "::")
	if p.dialect == dialect.Postgres && placeholder {
		r.Hint = "write placeholders as $1, $2: sqlx does if it is made by sqlx.NewDb(db, \"pgx\")"
	}
	return r
}
