package migrate

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse/lite"
)

// On SQLite programs stand still, and one transaction takes columns the whole way. SQLite can
// change next to nothing of a table: each is made again in its new definition, row by row, and the
// old one is dropped. What was changed of a definition stands in it as a comment. So the way out
// finds it, whatever was added to the table meanwhile.

// liteTable is what SQLite keeps of a table.
type liteTable struct {
	sql     string
	columns []string // those that are stored
	objects []liteObject
}

// liteObject is what SQLite keeps of an index, a trigger or a view.
type liteObject struct{ kind, name, table, sql string }

// edit is one change of a definition: of the table's own, or of an index's.
type edit struct {
	Index string `json:"index,omitempty"`
	Was   string `json:"was"`
	Is    string `json:"is,omitempty"` // "": it is gone
}

const (
	liteRecordHead = "/* " + recordHead
	liteRecordTail = " */"
)

// comment returns the record as it stands in the companion's definition.
func (r *record) comment() string {
	text, err := json.Marshal(r.Edits)
	if err != nil {
		panic(err) // strings
	}
	return liteRecordHead + strings.ReplaceAll(string(text), "*/", `*\/`) + liteRecordTail
}

// liteRecord reads the record in the definition of a companion; nil for none.
func liteRecord(def string) (*record, error) {
	_, text, ok := strings.Cut(def, liteRecordHead)
	if !ok {
		return nil, nil
	}
	text, _, _ = strings.Cut(text, liteRecordTail)
	r := &record{}
	if err := json.Unmarshal([]byte(text), &r.Edits); err != nil {
		return nil, fmt.Errorf("the comment in its definition is not what was written: %w", err)
	}
	return r, nil
}

const liteObjectsQuery = `SELECT type, name, tbl_name, sql FROM %s.sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%%' ESCAPE '\' ORDER BY rowid`

// readLiteTable reads what may change.
func (m *migration) readLiteTable(ctx context.Context, t *table) error {
	rows, err := m.q.Query(ctx, fmt.Sprintf(liteObjectsQuery, dbcatalog.QuoteIdent(t.rel.Schema)))
	if err != nil {
		return err
	}
	t.lite = &liteTable{}
	for _, r := range rows {
		if r.Text(0) == "table" && strings.EqualFold(r.Text(1), t.rel.Name) {
			t.lite.sql = r.Text(3)
			continue
		}
		t.lite.objects = append(t.lite.objects, liteObject{r.Text(0), r.Text(1), r.Text(2), r.Text(3)})
	}
	rel, _, err := dbcatalog.ReadRelation(ctx, m.q, dialect.SQLite, t.rel.Schema, t.rel.Name)
	if err != nil {
		return err
	}
	if rel == nil || rel.View {
		return errNoTable
	}
	for _, c := range rel.Columns {
		if !c.Generated && !c.Hidden {
			t.lite.columns = append(t.lite.columns, c.Name)
		}
	}
	def, err := lite.Table(t.lite.sql)
	if err != nil {
		return fmt.Errorf("its definition cannot be read: %w", err)
	}
	for _, p := range t.all {
		p.plainCol, p.cellCol, p.kept = nil, nil, nil
		for _, c := range def.Columns {
			switch c.Name {
			case dbcatalog.FoldASCII(p.Source()):
				p.plainCol = &attribute{}
			case dbcatalog.FoldASCII(p.Stored):
				p.cellCol = &attribute{}
				if p.kept, err = liteRecord(t.lite.sql[c.Start:c.End]); err != nil {
					return err
				}
			}
		}
		if p.plainCol == nil && p.cellCol == nil {
			return p.neither()
		}
	}
	return nil
}

// liteReady is ready for SQLite.
func (p *pair) liteReady() (r Ready, done bool) {
	switch {
	case p.cellCol == nil:
		return ReadyPlain, true
	case p.kept != nil || p.plainCol == nil:
		return ReadySealedOnly, true
	}
	return ReadyCopy, false // made by hand
}

// pieces are the parts of a CREATE TABLE: the definitions of columns and constraints, each with
// what stands before it.
type pieces struct {
	def   *lite.TableText
	parts []struct{ gap, text string }
	tail  string
}

func cut(sql string) (*pieces, error) {
	def, err := lite.Table(sql)
	if err != nil {
		return nil, err
	}
	out, at := &pieces{def: def}, 0
	add := func(s lite.Span) {
		out.parts = append(out.parts, struct{ gap, text string }{sql[at:s.Start], sql[s.Start:s.End]})
		at = s.End
	}
	for _, c := range def.Columns {
		add(c.Span)
	}
	for _, c := range def.Constraints {
		add(c.Span)
	}
	out.tail = sql[at:]
	return out, nil
}

func (ps *pieces) String() string {
	var b strings.Builder
	for _, p := range ps.parts {
		b.WriteString(p.gap + p.text)
	}
	return b.String() + ps.tail
}

// column returns the place of a column's definition; -1 for none.
func (ps *pieces) column(name string) int {
	return slices.IndexFunc(ps.def.Columns, func(c lite.ColumnText) bool { return c.Name == dbcatalog.FoldASCII(name) })
}

func textOf(sql string, s lite.Span) string { return sql[s.Start:s.End] }

// remade is a table as it is to be made.
type remade struct {
	*table
	pairs   []*pair
	sql     string
	indexes map[string]string // by their names: the definitions of those that are others then; "": it is left out
}

// emptyCheck returns the constraint that holds a plain column to NULL.
func (p *pair) emptyCheck() string {
	return "CONSTRAINT " + dbcatalog.QuoteIdent(p.emptyName()) + " CHECK (" + p.plain + " IS NULL)"
}

// sealLite writes the definitions that a table has when one more column is sealed.
func (m *migration) sealLite(r *remade, p *pair) error {
	sql := r.sql
	ps, err := cut(sql)
	if err != nil {
		return err
	}
	i := ps.column(p.Source())
	col := ps.def.Columns[i]
	rec := &record{}
	change := func(i int, text string) {
		rec.Edits = append(rec.Edits, edit{Was: ps.parts[i].text, Is: text})
		ps.parts[i].text = text
	}
	cells := ""
	carry := func(text string) { cells += " " + text }
	ends := func(check string) {
		if p.Was == nil || !strings.Contains(check, ddl.ConstraintName(p.Was)) { // the companion has its own
			m.note(r.table, "the constraint %s cannot look into cells: it ends with the plain column", check)
		}
	}
	for j, c := range col.Clauses {
		text := textOf(sql, c.Span)
		switch c.Kind {
		case lite.ClausePrimaryKey:
			m.problem(r.table, p, "it is in the primary key, which rows are known by")
		case lite.ClauseGenerated:
			m.problem(r.table, p, "the server computes its values: write them in the program first")
		case lite.ClauseUnique:
			if m.carriesUnique(r, p, collated(col), "UNIQUE") {
				carry(text)
			}
		case lite.ClauseNotNull:
			carry(text)
		case lite.ClauseForeignKey:
			carry(m.mapKey(r, sql, c, p, true))
		case lite.ClauseDeferrable:
			if j > 0 && col.Clauses[j-1].Kind == lite.ClauseForeignKey {
				carry(text)
			}
		case lite.ClauseDefault:
			m.note(r.table, "%s has the default %s, which the server cannot seal: name the column in each INSERT", p.Name, text)
		case lite.ClauseCollate:
			m.note(r.table, "%s compares with %s: cells are equal where values are, byte by byte", p.Name, text)
		case lite.ClauseCheck:
			ends(text)
		}
	}
	change(i, textOf(sql, col.Type)+" "+p.emptyCheck())
	for _, other := range ps.def.Columns {
		for _, c := range other.Clauses {
			if other.Name != col.Name && slices.Contains(c.Names, col.Name) {
				m.problem(r.table, p, "the column %s says %s, which cannot look into cells: drop that first", other.Name, textOf(sql, c.Span))
			}
		}
	}
	for j, c := range ps.def.Constraints {
		at, text := len(ps.def.Columns)+j, textOf(sql, c.Span)
		if !slices.Contains(c.Names, col.Name) {
			continue
		}
		switch c.Kind {
		case lite.ClausePrimaryKey:
			m.problem(r.table, p, "it is in the primary key, which rows are known by")
		case lite.ClauseUnique:
			if m.carriesUnique(r, p, collated(col) || c.Computes, text) {
				change(at, lite.Rename(text, p.toCompanion(), lite.Span{End: len(text)}))
			}
		case lite.ClauseForeignKey:
			change(at, m.mapKey(r, sql, c, p, false))
		default:
			ends(text)
			change(at, "CONSTRAINT "+dbcatalog.QuoteIdent(p.emptyName())+" CHECK (1)") // it keeps the place
		}
	}
	m.sealIndexes(r, p, col, rec)
	companion := struct{ gap, text string }{", ", p.cell + " BLOB " + rec.comment() + cells +
		" CONSTRAINT " + dbcatalog.QuoteIdent(ddl.ConstraintName(p.Column)) + " CHECK (" + backstop.Condition(dialect.SQLite, p.Column, false) + ")"}
	ps.parts = slices.Insert(ps.parts, len(ps.def.Columns), companion)
	r.sql = ps.String()
	return nil
}

// toCompanion returns the companion's name by the column's, folded.
func (p *pair) toCompanion() map[string]string {
	return map[string]string{dbcatalog.FoldASCII(p.Source()): p.Stored}
}

func (p *pair) toPlain() map[string]string {
	return map[string]string{dbcatalog.FoldASCII(p.Stored): p.Source()}
}

// carriesUnique reports whether cells are as unique as values.
func (m *migration) carriesUnique(r *remade, p *pair, collated bool, what string) bool {
	switch {
	case !p.EqualCells():
		m.problem(r.table, p, "%s cannot be had for cells: drop it, or make the column deterministic", what)
	case collated:
		m.problem(r.table, p, "%s compares with a collation, which cannot be had for cells: drop one of them", what)
	default:
		return true
	}
	return false
}

// collated reports whether values of a column are equal that differ.
func collated(col lite.ColumnText) bool {
	return slices.ContainsFunc(col.Clauses, func(c lite.Clause) bool { return c.Kind == lite.ClauseCollate })
}

// mapKey returns a foreign key over companions, on both of its sides.
func (m *migration) mapKey(r *remade, sql string, c lite.Clause, p *pair, ofColumn bool) string {
	from := c.Names
	if ofColumn {
		from = []string{dbcatalog.FoldASCII(p.Source())}
	}
	to := map[string]string{}
	for i, name := range from {
		if other := m.liteP(r.rel.Schema, c.To, at(c.ToNames, i)); other != nil && name == dbcatalog.FoldASCII(p.Source()) {
			to[at(c.ToNames, i)] = other.Stored
		}
	}
	sql = lite.Rename(sql[:c.End], to, c.ToAt)
	if !ofColumn {
		sql = lite.Rename(sql, p.toCompanion(), lite.Span{Start: c.Start, End: c.Refers})
	}
	return sql[c.Start:]
}

func at(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

// liteP finds a column that is worked on.
func (m *migration) liteP(file, table, column string) *pair {
	for _, t := range m.tables {
		for _, p := range t.pairs {
			if t.rel.Schema == file && strings.EqualFold(t.rel.Name, table) && strings.EqualFold(p.Source(), column) {
				return p
			}
		}
	}
	return nil
}

// sealIndexes finds what becomes of indexes.
func (m *migration) sealIndexes(r *remade, p *pair, col lite.ColumnText, rec *record) {
	for _, o := range r.lite.objects {
		text := o.sql
		if is, changed := r.indexes[o.name]; changed {
			text = is
		}
		if o.kind != "index" || !strings.EqualFold(o.table, r.rel.Name) || text == "" {
			continue
		}
		ix, err := lite.Index(text)
		if err != nil {
			m.problem(r.table, p, "the index %s cannot be read: drop it first", o.name)
			continue
		}
		if !slices.Contains(ix.Names, dbcatalog.FoldASCII(p.Source())) {
			continue
		}
		is := ""
		switch keyed := slices.Contains(ix.Columns, col.Name); {
		case keyed && ix.Unique && collated(col):
			m.carriesUnique(r, p, true, "the unique index "+o.name)
		case !ix.Computes && !slices.Contains(ix.Compared, col.Name) && (!keyed || p.EqualCells()):
			is = lite.Rename(text, p.toCompanion(), ix.List...)
		case ix.Unique:
			m.problem(r.table, p, "the unique index %s cannot be had for cells (%s): drop it, or make the column deterministic and the index one of columns", o.name, o.sql)
		default:
			m.note(r.table, "the index %s cannot be had for cells: what it serves is slow, or refused", o.name)
		}
		rec.Edits = append(rec.Edits, edit{Index: o.name, Was: text, Is: is})
		r.indexes[o.name] = is
	}
}

// errChanged says that what seal wrote is not there any more.
var errChanged = errors.New("its definition was changed since it was sealed, or a column was sealed after it: take out that one first")

// openLite writes the definitions that a table has when one column less is sealed.
func (m *migration) openLite(r *remade, p *pair) error {
	ps, err := cut(r.sql)
	if err != nil {
		return err
	}
	companion := ps.column(p.Stored)
	rec, err := liteRecord(ps.parts[companion].text)
	if err != nil {
		return err
	}
	if rec == nil {
		m.problem(r.table, p, "its companion was not made by seal: what the plain column was is not known")
		return nil
	}
	gone := ps.column(p.Source()) < 0
	for n, e := range rec.Edits {
		if e.Index != "" {
			if !m.openIndex(r, p, e) {
				return nil
			}
			continue
		}
		i := slices.IndexFunc(ps.parts, func(x struct{ gap, text string }) bool { return x.text == e.Is })
		switch {
		case n == 0 && gone:
			i = companion
		case i < 0:
			m.problem(r.table, p, "%v", errChanged)
			return nil
		}
		ps.parts[i].text = e.Was
	}
	if !gone {
		ps.parts = slices.Delete(ps.parts, companion, companion+1)
	}
	r.sql = ps.String()
	return nil
}

// openIndex gives an index the definition that it had.
func (m *migration) openIndex(r *remade, p *pair, e edit) bool {
	for _, o := range r.lite.objects {
		text := o.sql
		if is, changed := r.indexes[o.name]; changed {
			text = is
		}
		if o.kind == "index" && o.name == e.Index && text != e.Is {
			m.problem(r.table, p, "the index %s: %v", o.name, errChanged)
			return false
		}
	}
	r.indexes[e.Index] = e.Was
	return true
}

// remake returns the tables that have to be made again.
func (m *migration) remake(ctx context.Context, in bool) ([]*remade, error) {
	var out []*remade
	for _, mv := range m.moving(m.opts.For, in) {
		r := &remade{table: mv.table, pairs: mv.pairs, sql: mv.lite.sql, indexes: map[string]string{}}
		out = append(out, r)
		pairs := slices.Clone(mv.pairs)
		if !in { // what was done last is undone first
			place := func(p *pair) int { return slices.Index(r.lite.columns, p.Stored) }
			slices.SortFunc(pairs, func(a, b *pair) int { return place(b) - place(a) })
		}
		for _, p := range pairs {
			if r, _ := p.liteReady(); r == ReadyCopy {
				m.problem(mv.table, p, "its companion was not made by seal, and what it holds is not known: if the plain column has all values, drop the companion first")
				continue
			}
			change := m.openLite
			if in {
				change = m.sealLite
			}
			if err := change(r, p); err != nil {
				return nil, fmt.Errorf("table %s: its definition cannot be read: %w", mv.label, err)
			}
		}
		m.liteSurroundings(r, in)
	}
	return out, m.liteKeys(ctx, out, in)
}

// over returns the names of a table and of the views over it, folded.
func (t *liteTable) over(table string) map[string]bool {
	out := map[string]bool{dbcatalog.FoldASCII(table): true}
	for n := 0; n < len(out); {
		n = len(out)
		for _, o := range t.objects {
			if o.kind == "view" && slices.ContainsFunc(lite.Words(o.sql), func(w string) bool { return out[w] }) {
				out[dbcatalog.FoldASCII(o.name)] = true
			}
		}
	}
	return out
}

// liteSurroundings finds what else names the columns.
func (m *migration) liteSurroundings(r *remade, in bool) {
	known := maps.Clone(r.indexes)
	over := r.lite.over(r.rel.Name)
	for _, o := range r.lite.objects {
		words := lite.Words(o.sql)
		for _, p := range r.pairs {
			name := p.Source()
			if !in {
				name = p.Stored
			}
			here := slices.ContainsFunc(words, func(w string) bool { return over[w] }) && slices.Contains(words, dbcatalog.FoldASCII(name))
			switch {
			case !here || o.kind == "table" && !lite.Virtual(o.sql):
			case o.kind == "table" && in:
				m.problem(r.table, p, "the virtual table %s names it, which may hold values of its own: drop it first", o.name)
			case o.kind == "table":
			case o.kind == "trigger":
				m.problem(r.table, p, "the trigger %s names it: drop it first", o.name)
			case o.kind == "view" && in && m.drops(p):
				m.problem(r.table, p, "the view %s depends on the column: %s", o.name, p.viewAdvice())
			case o.kind == "view" && in:
				m.note(r.table, "the view %s has no place for the companion: statements that name the column there are refused", o.name)
			case o.kind == "view":
				m.problem(r.table, p, "the view %s depends on the companion: drop it first", o.name)
			case o.kind == "index" && !in && known[o.name] == "":
				text := cmp.Or(r.indexes[o.name], o.sql)
				ix, err := lite.Index(text)
				if err != nil {
					m.problem(r.table, p, "the index %s cannot be read: drop it first", o.name)
					continue
				}
				r.indexes[o.name] = lite.Rename(text, p.toPlain(), ix.List...)
			}
		}
	}
}

// liteKeys finds foreign keys of which one side would be sealed and the other not.
func (m *migration) liteKeys(ctx context.Context, all []*remade, in bool) error {
	if !in || len(all) == 0 {
		return nil
	}
	for _, file := range m.files() {
		rows, err := m.q.Query(ctx, fmt.Sprintf(liteObjectsQuery, dbcatalog.QuoteIdent(file)))
		if err != nil {
			return err
		}
		for _, row := range rows {
			def, err := lite.Table(row.Text(3))
			if row.Text(0) != "table" || err != nil {
				continue // a virtual table has no foreign keys
			}
			for _, c := range def.Columns {
				for _, k := range c.Clauses {
					m.liteKey(all, file, row.Text(1), []string{c.Name}, k)
				}
			}
			for _, k := range def.Constraints {
				m.liteKey(all, file, row.Text(1), k.Names, k)
			}
		}
	}
	return nil
}

func (m *migration) liteKey(all []*remade, file, table string, columns []string, k lite.Clause) {
	if k.Kind != lite.ClauseForeignKey {
		return
	}
	for i, name := range columns {
		from, to := m.liteP(file, table, name), m.liteP(file, k.To, at(k.ToNames, i))
		p := from
		if p == nil {
			p = to
		}
		if p == nil {
			continue
		}
		t := all[0].table
		for _, r := range all {
			if slices.Contains(r.pairs, p) {
				t = r.table
			}
		}
		switch {
		case from == nil || to == nil:
			m.problem(t, p, "the foreign key of %s is between it and a column that is not sealed with it: seal both in one run", table)
		case !from.EqualCells() || from.Identity() != to.Identity():
			m.problem(t, p, "the foreign key of %s needs equal cells for equal values in both of its columns: give them one join=GROUP", table)
		case k.Writes:
			m.problem(t, p, "the foreign key of %s writes the column alone: make it NO ACTION first", table)
		}
	}
}

// litePlain returns the value of a plain column, as SQLite stores it.
func litePlain(kind codec.Kind, encoding []byte) (driver.Value, error) {
	v, err := codec.DecodeValue(kind, encoding)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case float64:
		if math.IsNaN(v) {
			return nil, fmt.Errorf("%w: SQLite stores NULL for it", codec.ErrValue)
		}
		return v, nil
	case time.Time:
		switch kind {
		case codec.KindDate:
			return v.Format("2006-01-02"), nil
		case codec.KindTimestamp:
			return v.Format("2006-01-02 15:04:05.999999"), nil
		}
		return v.UTC().Format("2006-01-02 15:04:05.999999-07:00"), nil
	case []byte:
		if kind == codec.KindJSON {
			return string(v), nil
		}
		return v, nil
	default:
		return v, nil
	}
}

// liteTime is how modernc.org/sqlite stores a time.Time, if it is not told otherwise.
const liteTime = "2006-01-02 15:04:05.999999999 -0700 MST"

// liteValue converts a value of a plain column to what is sealed. Bytes in a column of another kind
// would come back as text.
func liteValue(kind codec.Kind, v driver.Value) (driver.Value, error) {
	switch v := v.(type) {
	case []byte:
		if kind != codec.KindBytes {
			return nil, fmt.Errorf("%w: a BLOB", codec.ErrKind)
		}
		return append([]byte{}, v...), nil // the driver has nil for an empty one
	case string:
		if kind == codec.KindBytes {
			return nil, fmt.Errorf("%w: text", codec.ErrKind)
		}
		if kind == codec.KindTime || kind == codec.KindTimestamp || kind == codec.KindDate {
			text, _, _ := strings.Cut(v, " m=")
			if t, err := time.Parse(liteTime, text); err == nil {
				return t, nil
			}
		}
	}
	return v, nil
}
