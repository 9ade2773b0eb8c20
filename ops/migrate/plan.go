package migrate

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/schema"
)

// step is a Step with what does it.
type step struct {
	Step
	do func(context.Context) error
}

// planner writes the steps from one state to another.
type planner struct {
	m     *migration
	steps []step
}

// move is a table with the columns that go on.
type move struct {
	*table
	m     *migration
	pairs []*pair
}

// moving returns the columns that are to go on to a state, or have not done all that comes with it.
func (m *migration) moving(to Ready, in bool) []move {
	var out []move
	for _, t := range m.tables {
		var pairs []*pair
		for _, p := range t.pairs {
			r, done := t.ready(p)
			if in && r < to || !in && r > to || r == to && !done {
				pairs = append(pairs, p)
			}
		}
		if len(pairs) > 0 {
			out = append(out, move{t, m, pairs})
		}
	}
	return out
}

// plan returns the steps to what was asked for.
func (m *migration) plan(in bool) []step {
	p := &planner{m: m}
	for _, t := range m.tables {
		if t.altered() {
			p.add(t, "make the triggers again, which are not as they were made", writers, t.setTrigger(t.modes)...)
		}
	}
	switch {
	case in && m.opts.For == ReadyCopy:
		p.toCopy(m.moving(ReadyCopy, in))
		p.fillCopies()
	case in && m.opts.For == ReadySealed:
		p.toCopy(m.moving(ReadyCopy, in))
		p.toBoth(m.moving(ReadySealed, in), in)
	case in && m.opts.For == ReadyOnly:
		p.toOnly(m.moving(ReadyOnly, in))
	case in && m.opts.For == ReadySealedOnly:
		p.empty(m.moving(ReadySealedOnly, in))
		p.drop(m.dropping())
		if m.opts.Rewrite {
			p.rewrite(m.tables)
		}
	case !in && m.opts.For == ReadyOnly:
		p.addPlain(m.moving(ReadyOnly, in))
	case !in && m.opts.For == ReadySealed:
		p.toBoth(m.moving(ReadySealed, in), in)
	case m.opts.For == ReadyCopy:
		p.loosenCompanions(m.moving(ReadyCopy, in))
	default:
		p.dropCompanions(m.moving(ReadyPlain, in))
	}
	return p.steps
}

// add adds a step; do nothing: its statements, in one short transaction with a lock on the table.
func (p *planner) add(t *table, what, mode string, statements ...string) {
	p.addOver([]*table{t}, what, mode, statements...)
}

func (p *planner) addOver(tables []*table, what, mode string, statements ...string) {
	var labels, names []string
	for _, t := range tables {
		labels, names = append(labels, t.label), append(names, t.name)
	}
	p.steps = append(p.steps, step{Step{Table: strings.Join(labels, ", "), What: what, SQL: statements},
		func(ctx context.Context) error { return p.m.short(ctx, mode, names, statements...) }})
}

// alone adds a step of statements that run outside of transactions, and keep nobody waiting.
func (p *planner) alone(t *table, what string, statements ...string) {
	p.steps = append(p.steps, step{Step{Table: t.label, What: what, SQL: statements}, func(ctx context.Context) error {
		if p.m.locked {
			return p.m.within(ctx, statements)
		}
		for _, s := range statements {
			if _, err := p.m.q.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}})
}

// rows adds work on the rows of a table.
func (p *planner) rows(t *table, pairs []*pair, doing string, passes int) {
	names := make([]string, len(pairs))
	for i, x := range pairs {
		names[i] = x.Name
	}
	p.steps = append(p.steps, step{Step{Table: t.label, What: doing + " the rows' " + strings.Join(names, ", ")},
		func(ctx context.Context) error { return p.m.work(ctx, t, pairs, doing, passes) }})
}

// with returns the trigger's modes with others for some pairs. ReadyPlain: none.
func (t *table) with(pairs []*pair, to mode) map[string]mode {
	modes := maps.Clone(t.modes)
	for _, p := range pairs {
		if modes[p.Stored] = to; to.Ready == ReadyPlain {
			delete(modes, p.Stored)
		}
	}
	return modes
}

// sets notes what the trigger will do, and returns the statements for it.
func (mv move) sets(to mode) []string {
	mv.modes = mv.with(mv.pairs, to)
	return mv.setTrigger(mv.modes)
}

const (
	exclusive = "ACCESS EXCLUSIVE"
	writers   = "SHARE ROW EXCLUSIVE" // keeps writers out, and no readers
)

func (p *planner) toCopy(moves []move) {
	for _, mv := range moves {
		var add []string
		for _, x := range mv.pairs {
			if x.cellCol == nil {
				add = append(add, "ADD COLUMN "+x.cell+" pg_catalog.bytea")
			}
		}
		var statements []string
		if len(add) > 0 {
			statements = append(statements, "ALTER TABLE "+mv.name+" "+strings.Join(add, ", "))
		}
		for _, x := range mv.pairs {
			statements = append(statements, strings.TrimSuffix(strings.SplitN(ddl.AddCheck(mv.schemaTable(), x.Column, false, true), ";\n", 2)[0], ";"))
			if x.Mode == schema.ModeOrdered {
				statements = append(statements, ddl.SetStatistics(mv.schemaTable(), x.Column))
			}
		}
		if functions := ddl.Functions(columnsOf(mv.pairs)); len(functions) > 0 {
			p.alone(mv.table, "have the functions that searches need", functions...)
		}
		p.add(mv.table, "add companions", exclusive, append(statements, mv.sets(mode{ReadyCopy, true})...)...)
		p.validate(mv.table, "have the server refuse what is no cell", checkNames(mv.pairs))
	}
}

func columnsOf(pairs []*pair) []*schema.Column {
	out := make([]*schema.Column, len(pairs))
	for i, x := range pairs {
		out[i] = x.Column
	}
	return out
}

func checkNames(pairs []*pair) []string {
	var names []string
	for _, x := range pairs {
		names = append(names, ddl.ConstraintName(x.Column))
	}
	return names
}

// validate makes the server check constraints on the rows that were there before. Nobody waits for
// it but for the moment in which it is committed: PostgreSQL (15 and 17, at least) may free what a
// statement of others still reads when a CHECK becomes valid under it, and then the statement
// fails, or the server crashes. So nobody has the table then.
func (p *planner) validate(t *table, what string, names []string) {
	s := ddl.Validate(t.name, names)
	p.steps = append(p.steps, step{Step{Table: t.label, What: what, SQL: []string{s}},
		func(ctx context.Context) error { return p.m.lateLock(ctx, t.name, s) }})
}

// fillCopies seals what there is to be sealed in all columns that are in ReadyCopy, at each call.
func (p *planner) fillCopies() {
	for _, t := range p.m.tables {
		var pairs []*pair
		for _, x := range t.pairs {
			if r, ok := t.modes[x.Stored]; ok && r.Ready == ReadyCopy {
				pairs = append(pairs, x)
			}
		}
		if len(pairs) > 0 {
			p.rows(t, pairs, sealing, copyPasses)
		}
	}
}

// toBoth has plain columns and companions agree, and both have what belongs to them.
func (p *planner) toBoth(moves []move, in bool) {
	objects := make([][]object, len(moves))
	for i, mv := range moves {
		if in {
			p.rows(mv.table, mv.pairs, sealing, copyPasses)
			objects[i] = mv.companionObjects()
		} else {
			p.rows(mv.table, mv.pairs, opening, copyPasses)
			objects[i] = mv.plainObjects()
		}
		p.build(mv.table, objects[i], "index", "unique")
	}
	for i, mv := range moves {
		p.add(mv.table, "have each write write both", writers, mv.sets(mode{ReadySealed, false})...)
		p.rows(mv.table, mv.pairs, sealing, 0)
		if !in {
			p.rows(mv.table, mv.pairs, opening, 0)
			p.restore(mv)
		} else {
			for _, x := range mv.pairs {
				if x.plainCol.NotNull && (x.cellCol == nil || !x.cellCol.NotNull) {
					p.notNull(mv.table, x.Stored)
				}
			}
		}
		p.build(mv.table, objects[i], "check")
	}
	for _, mv := range moves { // else the server checks the keys by what it knew of columns that were NULL, which can take hours
		p.add(mv.table, "have statistics of the columns", "", "ANALYZE "+mv.name)
	}
	for i, mv := range moves {
		p.build(mv.table, objects[i], "foreign key")
	}
	if in {
		for _, mv := range moves {
			if statements := mv.widenViews(); len(statements) > 0 {
				p.add(mv.table, "have views show the companions, too", "", statements...)
			}
		}
	}
	for _, mv := range moves {
		statements := mv.sets(mode{ReadySealed, true})[:1] // the function alone
		if !in {
			for _, x := range mv.pairs {
				statements = append(statements, commentOn(mv.table, x.cell, ""))
			}
		}
		p.add(mv.table, "ready for copy and sealed", "", statements...)
	}
}

func commentOn(t *table, column, text string) string {
	if text == "" {
		return "COMMENT ON COLUMN " + t.name + "." + column + " IS NULL"
	}
	return "COMMENT ON COLUMN " + t.name + "." + column + " IS " + dbcatalog.QuoteLiteral(text)
}

// notNullName names the CHECK that holds a column to NOT NULL until it is.
func notNullName(column string) string { return ddl.Shorten("colseal_" + column + "_not_null") }

// notNull makes a column NOT NULL without a long lock.
func (p *planner) notNull(t *table, column string) {
	name := notNullName(column)
	col, check := dbcatalog.QuoteIdent(column), dbcatalog.QuoteIdent(name)
	p.add(t, column+" NOT NULL", exclusive, "ALTER TABLE "+t.name+" DROP CONSTRAINT IF EXISTS "+check+", ADD CONSTRAINT "+check+" CHECK ("+col+" IS NOT NULL) NOT VALID")
	p.validate(t, column+" NOT NULL", []string{name})
	p.add(t, column+" NOT NULL", exclusive, "ALTER TABLE "+t.name+" ALTER COLUMN "+col+" SET NOT NULL", "ALTER TABLE "+t.name+" DROP CONSTRAINT "+check)
}

// restore gives plain columns what they had.
func (p *planner) restore(mv move) {
	for _, x := range mv.pairs {
		was := x.origin()
		if was.Default != "" {
			p.add(mv.table, x.Name+" has its default again", exclusive, "ALTER TABLE "+mv.name+" ALTER COLUMN "+x.plain+" SET DEFAULT "+was.Default)
		}
		if was.NotNull && (x.plainCol == nil || !x.plainCol.NotNull) {
			p.notNull(mv.table, x.Source())
		}
	}
}

// toOnly takes from plain columns what would refuse a row without their values, and notes it.
func (p *planner) toOnly(moves []move) {
	if len(moves) == 0 {
		return
	}
	var tables []*table
	var keys, statements []string
	for _, mv := range moves {
		tables = append(tables, mv.table)
		keys = append(keys, mv.dropKeys(false)...)
		records := mv.records()
		for i, x := range mv.pairs {
			text, err := json.Marshal(records[i])
			if err != nil {
				panic(err) // strings
			}
			statements = append(statements, commentOn(mv.table, x.cell, recordHead+string(text)))
		}
		cols := mv.plainCols()
		for _, ix := range mv.indexes {
			if has(ix.refers, cols...) && ix.unique {
				statements = append(statements, mv.dropIndex(ix))
			}
		}
		for _, c := range mv.checks {
			if has(c.cols, cols...) {
				statements = append(statements, "ALTER TABLE "+mv.name+" DROP CONSTRAINT "+dbcatalog.QuoteIdent(c.name))
			}
		}
		for _, x := range mv.pairs {
			statements = append(statements, "ALTER TABLE "+mv.name+" ALTER COLUMN "+x.plain+" DROP NOT NULL, ALTER COLUMN "+x.plain+" DROP DEFAULT")
		}
		statements = append(statements, mv.sets(mode{ReadyOnly, true})...)
	}
	p.addOver(tables, "take from the "+sources(moves)+" what would refuse rows without them", exclusive, append(keys, statements...)...)
}

// sources returns what the columns are called that moves lead away from.
func sources(moves []move) string {
	var plain, former bool
	for _, mv := range moves {
		for _, x := range mv.pairs {
			plain, former = plain || x.Was == nil, former || x.Was != nil
		}
	}
	switch {
	case plain && former:
		return "plain and former columns"
	case former:
		return "former columns"
	}
	return "plain columns"
}

// empty makes plain columns NULL, and holds them to it.
func (p *planner) empty(moves []move) {
	for _, mv := range moves {
		p.add(mv.table, "have each write leave the "+sources(moves)+" NULL", writers, mv.sets(mode{ReadySealedOnly, false})...)
		p.rows(mv.table, mv.pairs, clearing, 0)
		p.alone(mv.table, "clear away what was there", "VACUUM (SKIP_LOCKED, TRUNCATE false, ANALYZE) "+mv.name) // the statistics, too
		var statements, names []string
		for _, ix := range mv.indexes {
			if has(ix.refers, mv.plainCols()...) {
				statements = append(statements, mv.dropIndex(ix))
			}
		}
		for _, x := range mv.pairs {
			if c := mv.table.empty(x); c != nil {
				names = append(names, c.name)
			} else {
				names = append(names, x.emptyName())
				statements = append(statements, "ALTER TABLE "+mv.name+" ADD CONSTRAINT "+dbcatalog.QuoteIdent(x.emptyName())+" CHECK ("+x.plain+" IS NULL) NOT VALID")
			}
		}
		p.add(mv.table, "hold the "+sources(moves)+" to NULL", exclusive, append(statements, mv.sets(mode{Ready: ReadyPlain})...)...)
		p.validate(mv.table, "hold the "+sources(moves)+" to NULL", names)
	}
}

// drops reports whether the column that was sealed is dropped in the end.
func (m *migration) drops(p *pair) bool {
	return m.opts.Drop || m.opts.For == ReadySealedOnly && p.Source() != p.Name // else no one would know that it is none of the table's columns
}

// dropping returns the plain columns that are to be dropped.
func (m *migration) dropping() []move {
	var out []move
	for _, t := range m.tables {
		mv := move{table: t, m: m}
		for _, x := range t.pairs {
			if x.plainCol != nil && m.drops(x) {
				mv.pairs = append(mv.pairs, x)
			}
		}
		if len(mv.pairs) > 0 {
			out = append(out, mv)
		}
	}
	return out
}

// drop drops plain columns.
func (p *planner) drop(moves []move) {
	for _, mv := range moves {
		var drop []string
		for _, x := range mv.pairs {
			drop = append(drop, "DROP COLUMN "+x.plain)
		}
		p.add(mv.table, "drop the "+sources(moves), exclusive, "ALTER TABLE "+mv.name+" "+strings.Join(drop, ", "))
	}
}

// rewrite rewrites tables, and the server's statistics, which hold values. Nothing of what was
// there before is left in their files.
func (p *planner) rewrite(tables []*table) {
	names := []string{}
	for _, t := range tables {
		names = append(names, t.name)
	}
	for _, name := range append(names, "pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data") {
		s := "VACUUM (FULL, ANALYZE) " + name
		p.steps = append(p.steps, step{Step{Table: name, What: "rewrite it", SQL: []string{s}}, func(ctx context.Context) error {
			return p.m.patiently(ctx, []string{name}, func(wait time.Duration) error { return p.m.withLockTimeout(ctx, wait, s) })
		}})
	}
}

// addPlain has plain columns beside companions that may be filled.
func (p *planner) addPlain(moves []move) {
	for _, mv := range moves {
		var statements []string
		for _, x := range mv.pairs {
			was := x.origin()
			switch {
			case x.plainCol != nil:
				if c := mv.table.empty(x); c != nil {
					statements = append(statements, "ALTER TABLE "+mv.name+" DROP CONSTRAINT "+dbcatalog.QuoteIdent(c.name))
				}
			default:
				add := "ALTER TABLE " + mv.name + " ADD COLUMN " + x.plain + " " + was.Type
				if was.Collation != "" {
					add += " COLLATE " + was.Collation
				}
				if statements = append(append(statements, add), was.After...); was.Comment != "" {
					statements = append(statements, commentOn(mv.table, x.plain, was.Comment))
				}
			}
			if x.kept == nil {
				text, err := json.Marshal(record{Name: mv.name + "." + x.plain, Plain: was, Objects: mv.opposite(x)})
				if err != nil {
					panic(err) // strings
				}
				statements = append(statements, commentOn(mv.table, x.cell, recordHead+string(text)))
			}
		}
		p.add(mv.table, "have "+sources(moves)+" that may be filled", exclusive, append(statements, mv.sets(mode{ReadyOnly, true})...)...)
	}
}

// loosenCompanions takes from companions what would refuse a row without their cells.
func (p *planner) loosenCompanions(moves []move) {
	var tables []*table
	var keys, statements []string
	for _, mv := range moves {
		tables = append(tables, mv.table)
		keys = append(keys, mv.dropKeys(true)...)
		for _, ix := range mv.indexes {
			if has(ix.refers, mv.cellCols()...) {
				statements = append(statements, mv.dropIndex(ix))
			}
		}
		for _, x := range mv.pairs {
			if x.cellCol != nil {
				statements = append(statements, "ALTER TABLE "+mv.name+" ALTER COLUMN "+x.cell+" DROP NOT NULL")
			}
		}
		statements = append(statements, mv.leadViews()...)
		statements = append(statements, mv.sets(mode{ReadyCopy, true})...)
	}
	if len(tables) > 0 {
		p.addOver(tables, "take from the companions what would refuse rows without them", exclusive, append(keys, statements...)...)
	}
}

// dropKeys returns the statements that drop the foreign keys from plain columns, or from
// companions.
func (mv move) dropKeys(cells bool) []string {
	var out []string
	for _, fk := range mv.keys {
		if fk.touches(mv, cells) && fk.fromHere {
			out = append(out, "ALTER TABLE "+fk.from+" DROP CONSTRAINT "+dbcatalog.QuoteIdent(fk.name))
		}
	}
	return out
}

// dropIndex returns the statement that drops an index, or the constraint that it is of.
func (mv move) dropIndex(ix *index) string {
	if ix.constraint != "" {
		return "ALTER TABLE " + mv.name + " DROP CONSTRAINT " + dbcatalog.QuoteIdent(ix.constraint)
	}
	return "DROP INDEX " + dbcatalog.Name{Schema: mv.rel.Schema, Table: ix.name}.SQL()
}

// dropCompanions drops companions.
func (p *planner) dropCompanions(moves []move) {
	var tables []*table
	var statements []string
	for _, mv := range moves {
		tables = append(tables, mv.table)
		statements = append(append(statements, mv.sets(mode{Ready: ReadyPlain})...), mv.narrowViews()...)
		var drop []string
		for _, x := range mv.pairs {
			if x.cellCol != nil {
				drop = append(drop, "DROP COLUMN "+x.cell)
			}
		}
		statements = append(statements, "ALTER TABLE "+mv.name+" "+strings.Join(drop, ", "))
	}
	if len(tables) > 0 {
		p.addOver(tables, "drop the companions", exclusive, statements...)
	}
}

// schemaTable returns the table for the statements that colseal ddl prints.
func (t *table) schemaTable() *schema.Table {
	return &schema.Table{Schema: t.rel.Schema, Name: t.rel.Name}
}

func (mv move) plainCols() []*attribute {
	var out []*attribute
	for _, x := range mv.pairs {
		out = append(out, x.plainCol)
	}
	return out
}

func (mv move) cellCols() []*attribute {
	var out []*attribute
	for _, x := range mv.pairs {
		out = append(out, x.cellCol)
	}
	return out
}

// toCompanion returns the names of companions by those of plain columns, toPlain the other way.
func (mv move) toCompanion() map[string]string {
	out := map[string]string{}
	for _, x := range mv.pairs {
		out[x.Source()] = x.Stored
	}
	return out
}

func (mv move) toPlain() map[string]string {
	out := map[string]string{}
	for _, x := range mv.pairs {
		out[x.Stored] = x.Source()
	}
	return out
}

// companionName returns the name of what a companion has of what a plain column has.
func companionName(name string) string { return ddl.Shorten(name + "_sealed") }

// plainName is the inverse of companionName.
func plainName(name string) string {
	if n, ok := strings.CutSuffix(name, "_sealed"); ok {
		return n
	}
	return ddl.Shorten(name + "_plain")
}

var createIndex = regexp.MustCompile(`(?s)^CREATE (UNIQUE )?INDEX (?:"(?:[^"]|"")*"|\S+) ON (.*? USING \S+)(.*)$`)

// renamed returns the definition of an index under another name, over other columns.
func renamed(def, name string, names map[string]string) string {
	m := createIndex.FindStringSubmatch(def)
	if m == nil {
		return def
	}
	return "CREATE " + m[1] + "INDEX " + dbcatalog.QuoteIdent(name) + " ON " + m[2] + mapNames(m[3], names)
}

// carried reports whether the companions can have an index.
func (mv move) carried(ix *index) bool {
	if ix.kind == "p" || ix.kind == "x" || ix.method != "btree" && ix.method != "hash" {
		return false
	}
	for _, x := range mv.pairs {
		if !has(ix.refers, x.plainCol) {
			continue
		}
		if !onlyNullTests(ix.pred, x.Source()) || ix.exprs || slices.Contains(ix.cols, x.plainCol.num) && !x.EqualCells() {
			return false
		}
	}
	return true
}

// object returns the index, or its UNIQUE, under a name and by a definition.
func (ix *index) object(name, def string) object {
	if ix.constraint != "" {
		return object{Kind: "unique", Name: name, Def: def, Defer: ix.deferred, Space: ix.space}
	}
	return object{Kind: "index", Name: name, Def: def, Space: ix.space}
}

// companionObjects returns what companions get of what the plain columns have.
func (mv move) companionObjects() []object {
	var out []object
	names := mv.toCompanion()
	for _, ix := range mv.indexes {
		if !has(ix.refers, mv.plainCols()...) || !mv.carried(ix) {
			continue
		}
		name := companionName(ix.name)
		out = append(out, ix.object(name, renamed(ix.def, name, names)))
	}
	for _, x := range mv.pairs {
		for _, ix := range ddl.TermIndexes(mv.schemaTable(), x.Column) {
			out = append(out, object{Kind: "index", Name: ix.Name, Def: ix.Create})
		}
	}
	for _, fk := range mv.keys {
		if fk.fromHere && fk.touches(mv, false) {
			out = append(out, object{Kind: "foreign key", Name: companionName(fk.name), Def: fk.define(names, mv.others(fk).toCompanion())})
		}
	}
	return out
}

// others returns the move of the table that a foreign key refers to.
func (mv move) others(fk *foreignKey) move {
	if fk.toHere {
		return mv
	}
	for _, t := range mv.m.tables {
		if t.name == fk.to {
			return move{t, mv.m, t.pairs}
		}
	}
	return move{}
}

// touches reports whether a foreign key is from, or to, plain columns of the move. If cells is set,
// the companions count instead.
func (k *foreignKey) touches(mv move, cells bool) bool {
	for _, x := range mv.pairs {
		name := x.Source()
		if cells {
			name = x.Stored
		}
		if k.fromHere && slices.Contains(k.fromCols, name) || k.toHere && slices.Contains(k.toCols, name) {
			return true
		}
	}
	return false
}

// records returns what there is about each plain column of the move. What belongs to several stands
// with the first.
func (mv move) records() []record {
	out := make([]record, len(mv.pairs))
	first := func(touches func(x *pair) bool) *record {
		for i, x := range mv.pairs {
			if touches(x) {
				return &out[i]
			}
		}
		return nil
	}
	for i, x := range mv.pairs {
		out[i].Name, out[i].Plain = mv.name+"."+x.plain, *x.plainCol
	}
	for _, ix := range mv.indexes {
		if r := first(func(x *pair) bool { return has(ix.refers, x.plainCol) }); r != nil {
			o := ix.object(ix.name, ix.def)
			o.After = ix.after
			r.Objects = append(r.Objects, o)
		}
	}
	for _, c := range mv.checks {
		if r := first(func(x *pair) bool { return has(c.cols, x.plainCol) }); r != nil {
			r.Objects = append(r.Objects, object{Kind: "check", Name: c.name, Def: c.def, After: c.after})
		}
	}
	for _, fk := range mv.keys {
		if r := first(func(x *pair) bool { return fk.fromHere && slices.Contains(fk.fromCols, x.Source()) }); r != nil {
			r.Objects = append(r.Objects, object{Kind: "foreign key", Name: fk.name, Def: fk.define(nil, nil), After: fk.after})
		}
	}
	return out
}

// plainObjects returns what plain columns get: what they had.
func (mv move) plainObjects() []object {
	var out []object
	for _, x := range mv.pairs {
		if x.kept != nil {
			out = append(out, x.kept.Objects...)
		}
	}
	return out
}

// opposite returns what a plain column gets of what its companion has, where nothing was noted.
func (mv move) opposite(x *pair) []object {
	var out []object
	names := map[string]string{x.Stored: x.Source()}
	for _, ix := range mv.indexes {
		if !has(ix.refers, x.cellCol) || ix.exprs {
			continue
		}
		name := plainName(ix.name)
		out = append(out, ix.object(name, renamed(ix.def, name, names)))
	}
	for _, fk := range mv.keys {
		if fk.fromHere && slices.Contains(fk.fromCols, x.Stored) {
			out = append(out, object{Kind: "foreign key", Name: plainName(fk.name), Def: fk.define(names, mv.others(fk).toPlain())})
		}
	}
	return out
}

// build makes objects of some kinds, those that are not there yet.
func (p *planner) build(t *table, objects []object, kinds ...string) {
	for _, o := range objects {
		if !slices.Contains(kinds, o.Kind) {
			continue
		}
		name := dbcatalog.QuoteIdent(o.Name)
		switch o.Kind {
		case "index", "unique":
			i := slices.IndexFunc(t.indexes, func(ix *index) bool { return ix.name == o.Name })
			if i < 0 || !t.indexes[i].valid {
				statements := []string{strings.Replace(o.Def, "INDEX ", "INDEX CONCURRENTLY ", 1)}
				if o.Space != "" {
					statements = []string{"SET default_tablespace = " + o.Space, statements[0], "SET default_tablespace = ''"}
				}
				if i >= 0 { // one that was cut short is there, and is not used
					statements = slices.Insert(statements, 0, "DROP INDEX CONCURRENTLY "+dbcatalog.Name{Schema: t.rel.Schema, Table: o.Name}.SQL())
				}
				p.alone(t, o.Kind+" "+o.Name, statements...)
			}
			if o.Kind == "unique" && (i < 0 || t.indexes[i].constraint == "") {
				p.add(t, "unique "+o.Name, exclusive, "ALTER TABLE "+t.name+" ADD CONSTRAINT "+name+" UNIQUE USING INDEX "+name+o.Defer)
			}
		case "check":
			i := slices.IndexFunc(t.checks, func(c *constraint) bool { return c.name == o.Name })
			if i < 0 {
				p.add(t, "check "+o.Name, exclusive, "ALTER TABLE "+t.name+" ADD CONSTRAINT "+name+" "+o.Def+" NOT VALID")
			}
			p.validate(t, "check "+o.Name, []string{o.Name})
		case "foreign key":
			i := slices.IndexFunc(t.keys, func(k *foreignKey) bool { return k.fromHere && k.name == o.Name })
			if i < 0 {
				p.add(t, "foreign key "+o.Name, writers, "ALTER TABLE "+t.name+" ADD CONSTRAINT "+name+" "+o.Def+" NOT VALID")
			}
			p.add(t, "foreign key "+o.Name, "", "ALTER TABLE "+t.name+" VALIDATE CONSTRAINT "+name)
		}
		if len(o.After) > 0 {
			p.add(t, o.Kind+" "+o.Name, "", o.After...)
		}
	}
}
