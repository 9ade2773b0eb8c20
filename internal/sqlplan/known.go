package sqlplan

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/lite"
	"github.com/colseal/colseal/internal/sqlparse/pg"
	"github.com/colseal/colseal/schema"
)

// Known is what is known of a database besides its schema: the relations and routines through
// which a statement can reach a registered table that it does not name. It holds the plans that
// were made by that knowledge. It is safe for concurrent use; a nil *Known is that of a database
// that was not looked at.
type Known struct {
	relations  map[string][]*schema.Table // by folded name; each has its schema
	dependents map[*schema.Table]*dependent
	routines   map[string][]dbcatalog.Name // by folded name
	rowColumns map[string][]rowColumn      // by folded name of their table
	words      words
	digest     [sha256.Size]byte
	columns    map[[2]string]bool // which columns of those with a stage are there, by table and name
	plans      *plans

	// What it was made from.
	found      []dbcatalog.Dependent
	companions [][3]string // schema, table and column
}

// A dependent is what is known of one relation.
type dependent struct {
	kind    dbcatalog.DependentKind
	columns []*schema.Column // of a child: its parents'
	rows    []dbcatalog.Name // of a type: the relations whose rows are in it
	version string           // of a view
	refused string           // why a statement that names it is refused; "" if it is not
}

// A rowColumn is a column that has a type with rows of another relation in it.
type rowColumn struct {
	schema, name string         // of its table, and its own
	of           dbcatalog.Name // the relation
}

// Equal reports whether two are the same knowledge.
func (k *Known) Equal(o *Known) bool { return k.digest == o.digest }

// Names reports whether a relation of a name, which is as the catalog has it, stands for a
// registered table.
func (k *Known) Names(name string) bool { return len(k.relations[name]) > 0 }

// Version returns the version of a view that was found; false if none of its name was.
func (k *Known) Version(rel *dbcatalog.Relation) (string, bool) {
	for _, t := range k.relations[rel.Name] {
		if d := k.dependents[t]; t.Schema == rel.Schema && d.kind == dbcatalog.DependentView {
			return d.version, true
		}
	}
	return "", false
}

// HasCompanion reports whether the companion of a column with a stage is there.
func (k *Known) HasCompanion(c *schema.Column) bool {
	name, err := dbcatalog.ParseName(c.TableName())
	return err == nil && k.columns[[2]string{name.Table, c.Stored}]
}

// Known returns what the planner goes by where an Env says nothing else.
func (p *Planner) Known() *Known { return p.known.Load() }

// Learn makes k what the planner goes by, and reports whether it is news.
func (p *Planner) Learn(k *Known) bool {
	if old := p.known.Load(); old.Equal(k) {
		return false
	}
	p.known.Store(k)
	return true
}

func (p *Planner) newKnown() *Known {
	return &Known{
		relations:  map[string][]*schema.Table{},
		dependents: map[*schema.Table]*dependent{},
		routines:   map[string][]dbcatalog.Name{},
		rowColumns: map[string][]rowColumn{},
		words:      words{dialect: p.dialect},
		plans:      newPlans(p.options.MaxPlans, p.options.MaxPlanBytes),
	}
}

// Survey asks a database what depends on the registered tables. It takes two queries where no
// routine names one.
func (p *Planner) Survey(ctx context.Context, q dbcatalog.Querier) (*Known, error) {
	if len(p.registered) == 0 {
		return p.newKnown(), nil
	}
	var tables, leftOut []dbcatalog.Name
	for _, t := range p.registered {
		tables = append(tables, dbcatalog.Name{Schema: t.Schema, Table: t.Name})
	}
	for _, t := range p.excluded {
		leftOut = append(leftOut, dbcatalog.Name{Schema: t.Schema, Table: t.Name})
	}
	deps, err := p.readDependents(ctx, q, tables, leftOut, nil)
	if err != nil {
		return nil, err
	}
	if p.dialect == dialect.SQLite {
		deps = p.viewsByText(deps)
	} else if deps, err = p.routinesByText(ctx, q, tables, leftOut, deps); err != nil {
		return nil, err
	}
	companions, err := p.companions(ctx, q)
	if err != nil {
		return nil, err
	}
	return p.knowing(deps, companions), nil
}

// readDependents lists what depends on tables and routines. A parent that has none of its
// child's sealed columns is left out.
func (p *Planner) readDependents(ctx context.Context, q dbcatalog.Querier, tables, leftOut []dbcatalog.Name, routines []string) ([]dbcatalog.Dependent, error) {
	deps, err := dbcatalog.ReadDependents(ctx, q, p.dialect, tables, leftOut, routines)
	return slices.DeleteFunc(deps, func(d dbcatalog.Dependent) bool {
		return d.Kind == dbcatalog.DependentParent && !slices.ContainsFunc(p.columnsOf(d.Parent), func(c *schema.Column) bool {
			return slices.Contains(d.Columns, c.Name) || c.Stage != schema.StageNone && (slices.Contains(d.Columns, c.Stored) || slices.Contains(d.Columns, c.Source()))
		})
	}), err
}

// Both merges what two looks at a database found. A view of which they found two versions is
// refused.
func (p *Planner) Both(a, b *Known) *Known {
	return p.knowing(slices.Concat(a.found, b.found), slices.Concat(a.companions, b.companions))
}

// knowing makes what is known of what was found.
func (p *Planner) knowing(deps []dbcatalog.Dependent, companions [][3]string) *Known {
	k := p.newKnown()
	k.found, k.companions = deps, companions
	for _, d := range deps {
		p.add(k, d)
	}
	k.columns = map[[2]string]bool{}
	for _, c := range companions {
		k.columns[[2]string{c[1], c[2]}] = true
	}
	if len(deps)+len(companions) > 0 {
		k.sum()
	}
	return k
}

// companionsQuery finds which of the columns of those with a stage are there.
const companionsQuery = `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, a.attname::pg_catalog.text
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY ($1::pg_catalog.text[]) AND a.attname = ANY ($2::pg_catalog.text[]) AND NOT a.attisdropped`

// companions lists the plain columns and companions, of columns with a stage, that exist. Others
// add and drop them while this process runs, and plans depend on them. On SQLite programs are
// stopped for that.
func (p *Planner) companions(ctx context.Context, q dbcatalog.Querier) ([][3]string, error) {
	var tables, columns []string
	for _, t := range p.registered {
		for _, c := range t.Columns() {
			if c.Stage != schema.StageNone {
				tables, columns = append(tables, t.Name), append(columns, c.Name, c.Source(), c.Stored)
			}
		}
	}
	if len(tables) == 0 || p.dialect == dialect.SQLite {
		return nil, nil
	}
	rows, err := q.Query(ctx, companionsQuery, pgarray.Strings(tables), pgarray.Strings(columns))
	if err != nil {
		return nil, err
	}
	found := make([][3]string, len(rows))
	for i, r := range rows {
		found[i] = [3]string{r.Text(0), r.Text(1), r.Text(2)}
	}
	return found, nil
}

// routinesByText adds the routines whose bodies name a registered table, what depends on one, or
// a routine of such a kind, and what depends on them in turn.
func (p *Planner) routinesByText(ctx context.Context, q dbcatalog.Querier, tables, leftOut []dbcatalog.Name, deps []dbcatalog.Dependent) ([]dbcatalog.Dependent, error) {
	routines, err := dbcatalog.ReadRoutines(ctx, q)
	if err != nil || len(routines) == 0 {
		return deps, err
	}
	names := map[string]bool{}
	var found []string
	var byText []dbcatalog.Dependent
	for {
		for _, t := range p.registered {
			note(names, p.fold(t.Name))
			note(names, "_"+p.fold(t.Name)) // the array type of its rows
		}
		for _, d := range slices.Concat(deps, byText) {
			note(names, p.fold(d.Table))
			note(names, "_"+p.fold(d.Table))
		}
		before := len(found)
		rest := routines[:0]
		for _, r := range routines {
			if p.namesAny(r.Source, names) && !p.permitted(r.Name) {
				found = append(found, r.OID)
				byText = append(byText, dbcatalog.Dependent{Name: r.Name, Kind: dbcatalog.DependentRoutine})
				continue
			}
			rest = append(rest, r)
		}
		routines = rest
		if len(found) == before {
			return append(deps, byText...), nil
		}
		if deps, err = p.readDependents(ctx, q, tables, leftOut, found); err != nil {
			return nil, err
		}
	}
}

// viewsByText returns those views of SQLite whose definitions name a registered table, or a
// view of such a kind.
func (p *Planner) viewsByText(views []dbcatalog.Dependent) []dbcatalog.Dependent {
	names := map[string]bool{}
	for _, t := range p.registered {
		note(names, p.fold(t.Name))
	}
	var out []dbcatalog.Dependent
	for {
		before := len(out)
		rest := views[:0]
		for _, v := range views {
			if p.namesAny(v.Source, names) {
				out = append(out, v)
				continue
			}
			rest = append(rest, v)
		}
		for _, v := range out[before:] {
			note(names, p.fold(v.Table))
		}
		if views = rest; len(out) == before {
			return out
		}
	}
}

// permitted reports whether the schema says that calls of a routine are harmless.
func (p *Planner) permitted(n dbcatalog.Name) bool {
	return slices.ContainsFunc(p.functions, func(f schema.Function) bool {
		return p.fold(f.Name) == n.Table && (f.Schema == "" || p.fold(f.Schema) == n.Schema)
	})
}

// severalWords stands among names if one of them is not a single word.
const severalWords = "\x00"

// note adds a folded name.
func note(names map[string]bool, name string) {
	names[name] = true
	if !isWord(name) {
		names[severalWords] = true
	}
}

// namesAny reports whether a program names one of names. What stands in comments does not count;
// what stands in strings does if the program may run it. A program that is not understood counts
// as one that names each word in it.
func (p *Planner) namesAny(program string, names map[string]bool) bool {
	some := func(text string) bool {
		return wordsOf(text, func(w string) bool { return names[p.fold(dbcatalog.FoldASCII(w))] || names[p.fold(w)] })
	}
	// Most name none, in whatever way, and need no closer look: nothing but a name of several
	// words, or one that is spelled with escapes, is not among the words.
	if !names[severalWords] && !strings.Contains(program, "&") && !some(program) {
		return false
	}
	tokens, err := p.tokensOf(program)
	if err != nil {
		return some(program)
	}
	found, runs := false, false
	inStrings := false
	for _, t := range tokens {
		text := program[t.Start:t.End]
		switch t.Kind {
		case sqlparse.TokenWord:
			name := p.nameOf(text)
			found = found || names[name] || name == ""
			runs = runs || sqlparse.RunsText(name)
		case sqlparse.TokenString:
			if p.dialect == dialect.SQLite { // a string may stand for a name
				found = found || names[p.nameOf(text)]
			}
			inStrings = inStrings || some(text)
		}
	}
	return found || runs && inStrings
}

func (p *Planner) tokensOf(text string) ([]sqlparse.Token, error) {
	if p.dialect == dialect.SQLite {
		return lite.Tokens(text, p.limits)
	}
	return pg.Tokens(text)
}

// nameOf returns the name that a word is, as names are compared; "" if it may be any.
func (p *Planner) nameOf(word string) string {
	switch quote := word[0]; {
	case len(word) > 1 && word[0]|0x20 == 'u' && word[1] == '&':
		return ""
	case len(word) > 1 && (quote == '"' || p.dialect == dialect.SQLite && (quote == '`' || quote == '\'')):
		q := string(quote)
		return p.fold(strings.ReplaceAll(word[1:len(word)-1], q+q, q))
	case len(word) > 1 && quote == '[':
		return p.fold(word[1 : len(word)-1])
	}
	return p.fold(dbcatalog.FoldASCII(word))
}

// add records a dependent that is not registered itself.
func (p *Planner) add(k *Known, d dbcatalog.Dependent) {
	name := p.fold(d.Table)
	if d.Kind == dbcatalog.DependentRoutine {
		if !p.permitted(d.Name) {
			k.words.add(name)
			k.routines[name] = append(k.routines[name], d.Name)
		}
		return
	}
	if d.Kind == dbcatalog.DependentHolder {
		for _, column := range d.Columns {
			k.rowColumns[name] = append(k.rowColumns[name], rowColumn{d.Schema, column, d.Parent})
		}
	}
	if p.decided(name, d.Schema) {
		return
	}
	table := &schema.Table{Schema: d.Schema, Name: d.Table, ViewOf: d.Parent.SQL()}
	if i := slices.IndexFunc(k.relations[name], func(t *schema.Table) bool { return t.Schema == d.Schema }); i >= 0 {
		table = k.relations[name][i]
	} else {
		k.words.add(name)
		k.relations[name] = append(k.relations[name], table)
		k.dependents[table] = &dependent{kind: d.Kind, version: d.Version}
	}
	dep := k.dependents[table]
	if dep.kind == dbcatalog.DependentView && dep.version != d.Version {
		dep.refused = "it was defined again, and the transaction sees the catalog as it was before"
	}
	switch d.Kind {
	case dbcatalog.DependentParent:
		dep.kind, dep.refused = d.Kind, "it is the parent of a sealed table, whose rows it shows and takes"
	case dbcatalog.DependentType:
		dep.rows = append(dep.rows, d.Parent)
	case dbcatalog.DependentTable:
		if dep.kind == dbcatalog.DependentHolder {
			dep.refused = "it has columns of the row type of a sealed table, and a rule that names one"
		}
	case dbcatalog.DependentForeign:
		dep.kind, dep.refused = d.Kind, "it is a foreign table that stands for a sealed one"
	case dbcatalog.DependentChild:
		if dep.refused == "" { // with a rule, too, it is first of all a child
			dep.kind = d.Kind
		}
		for _, c := range p.columnsOf(d.Parent) {
			known := columnNamed(dep.columns, c.Name)
			switch {
			case known == nil:
				dep.columns = append(dep.columns, c)
			case known.Identity() != c.Identity():
				dep.refused = "it is a child of two tables that seal a column of one name in two ways"
			}
		}
	}
}

// decided reports whether the schema itself says what a relation is.
func (p *Planner) decided(name, schemaName string) bool {
	return slices.ContainsFunc(p.tables[name], func(t *schema.Table) bool { return t.Schema == "" || t.Schema == schemaName })
}

// columnsOf returns the sealed columns of a registered table.
func (p *Planner) columnsOf(n dbcatalog.Name) []*schema.Column {
	if t := pick(p.tables[p.fold(n.Table)], n.Schema); t != nil {
		return t.Columns()
	}
	return nil
}

func columnNamed(cols []*schema.Column, name string) *schema.Column {
	for _, c := range cols {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// sum computes the digest.
func (k *Known) sum() {
	var lines []string
	for _, c := range k.companions {
		lines = append(lines, fmt.Sprintf("column %q %q %q", c[0], c[1], c[2]))
	}
	for _, d := range k.found {
		lines = append(lines, fmt.Sprintf("%d %q %q %q %q %q", d.Kind, d.Schema, d.Table, d.Parent.Schema, d.Parent.Table, d.Version))
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	k.digest = sha256.Sum256([]byte(strings.Join(lines, "\n")))
}

// candidates returns the relations of a name through which sealed columns can be reached, and
// those that are excluded.
func (a *analysis) candidates(name string) []*schema.Table {
	name = a.p.fold(name)
	more := a.known.relations[name]
	if a.mode == copyPlain {
		return a.strictTables(slices.Concat(a.p.tables[name], more))
	}
	if len(more) == 0 {
		return a.p.tables[name]
	}
	return slices.Concat(a.p.tables[name], more)
}

// routine returns the routine that a call may mean and that names a sealed table, if there is
// one.
func (a *analysis) routine(schemaName, name string) (dbcatalog.Name, bool) {
	for _, r := range a.known.routines[a.p.fold(name)] {
		if schemaName == "" || schemaName == r.Schema {
			return r, true
		}
	}
	return dbcatalog.Name{}, false
}

// refuseRoutineCalls refuses a statement that calls a routine which names a sealed table.
func (a *analysis) refuseRoutineCalls(s sqlparse.Stmt) error {
	if len(a.known.routines) == 0 {
		return nil
	}
	var err error
	found := func(pos int, schemaName, name string) {
		if err == nil {
			err = a.checkCall(pos, schemaName, name)
		}
	}
	sqlparse.Inspect(s, func(node any) bool {
		switch n := node.(type) {
		case *sqlparse.Call:
			found(n.Pos(), n.Schema, n.Name)
		case *sqlparse.Utility:
			if n.Carries && n.Kept == nil { // DO, CREATE FUNCTION: the words of the program
				for _, w := range n.Names {
					found(n.Pos(), "", w.Name)
				}
			}
		}
		return true
	})
	for _, c := range a.file.Calls {
		found(c.Pos(), c.Schema, c.Name)
	}
	return err
}

// checkCall refuses a call of a routine that names a sealed table.
func (a *analysis) checkCall(pos int, schemaName, name string) error {
	n, ok := a.routine(schemaName, name)
	if !ok || a.p.copiesOnly() && a.mode != copyAhead {
		return nil
	}
	a.forbidden = true
	return a.refuseOperation(pos, nil, "the statement calls "+n.SQL()+", whose body or types name a sealed table: what it does with values is not analysed",
		"do in the program what it does; if it leaves the sealed columns alone, list it with schema.Functions; if another function is meant, write its schema before its name")
}

// checkMoves refuses to give what reaches a sealed table another name where later statements of the text may use that.
func (a *analysis) checkMoves(u *sqlparse.Utility) error {
	for _, m := range u.Moves {
		_, calls := a.routine(m.Schema, m.Name)
		if len(a.file.Statements) > 1 && (calls || len(a.meant(m)) > 0) && (!a.p.copiesOnly() || a.mode == copyAhead) {
			a.forbidden = true
			return a.refuseSession(u.Pos(), nil, "a function or type that names a sealed table gets another name, which later statements of this text may use", "send the statements one by one")
		}
	}
	return nil
}

// checkPrograms refuses the texts that functions run and that name a sealed table.
func (a *analysis) checkPrograms() error {
	sealed := func(word string) bool { return len(a.meant(&sqlparse.TableName{Name: word})) > 0 }
	for i := range a.file.Programs {
		t := &a.file.Programs[i]
		for _, w := range t.Words {
			if err := a.goOn(a.checkCall(t.Pos(), "", w)); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(t.Words, sealed) {
			continue
		}
		a.touched = true
		err := a.refuseUnsupported(t.Pos(), nil, "the function "+t.Function+" runs a text that names a sealed table, and what it does with values is not analysed", "run the statement itself")
		if err := a.goOn(err); err != nil {
			return err
		}
	}
	return nil
}

// holdsRows reports whether a relation has columns of the row types of sealed tables.
func (p *Planner) holdsRows(k *Known, rel *dbcatalog.Relation) bool {
	return slices.ContainsFunc(k.rowColumns[p.fold(rel.Name)], func(r rowColumn) bool {
		cols := p.columnsOf(r.of)
		return r.schema == rel.Schema && !p.copiesOnly() && !copiesAll(cols)
	})
}

// SealedColumns returns the sealed columns of a relation that rows are copied into; none if it is
// plain. The error is a *Refusal.
func (p *Planner) SealedColumns(k *Known, rel *dbcatalog.Relation) ([]*schema.Column, error) {
	name := p.fold(rel.Name)
	tables := p.tables[name]
	if more := k.relations[name]; len(more) > 0 {
		tables = slices.Concat(tables, more)
	}
	t := pick(tables, rel.Schema)
	if t == nil {
		return nil, nil
	}
	d := k.dependents[t]
	switch {
	case p.holdsRows(k, rel):
	case d == nil:
		return p.columns[t], nil
	case d.kind == dbcatalog.DependentHolder:
		return nil, nil
	case d.kind == dbcatalog.DependentChild && d.refused == "":
		return d.columns, nil
	}
	return nil, &Refusal{Class: colseal.ClassUnsupported, Table: rel.Name, Reason: "rows cannot be copied into " + rel.SQL() + ", which stands for a sealed table",
		Hint: "copy them into the table itself"}
}
