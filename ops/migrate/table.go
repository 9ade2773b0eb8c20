package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/pairtrigger"
	"github.com/colseal/colseal/internal/walk"
	"github.com/colseal/colseal/schema"
)

// table is a table with columns that are on their way, as the server has it.
type table struct {
	label  string // as the schema writes it
	name   string // in a statement
	rel    *dbcatalog.Relation
	rows   walk.Rows
	modes  map[string]mode // what the trigger does
	source string          // the body of its function
	old    string          // the function, in a statement, if it has the name of before the table was renamed; else ""

	all     []*pair // of every column with a stage
	pairs   []*pair // those to work on
	indexes []*index
	checks  []*constraint
	keys    []*foreignKey
	views   []*view
	lite    *liteTable // of SQLite, in the place of the five before it
}

// pair is a column and its companion.
type pair struct {
	*schema.Column
	plain, cell       string     // their names in a statement
	plainCol, cellCol *attribute // nil: it is not there
	kept              *record    // of a plain column that is loose, empty, or gone
}

// attribute is a column as the server has it.
type attribute struct {
	num       int64
	Type      string   `json:"type"`
	NotNull   bool     `json:"not_null,omitempty"`
	Default   string   `json:"default,omitempty"`
	Collation string   `json:"collation,omitempty"`
	Comment   string   `json:"comment,omitempty"`
	After     []string `json:"after,omitempty"` // what gives it the rest
	generated bool
	loose     bool // its collation takes values for equal that differ
}

// record is what there was about a plain column before it was loosened. The companion keeps it as
// its comment; on SQLite, as one in its definition.
type record struct {
	Name    string    `json:"name,omitempty"` // table and column, in a statement, as they were called
	Plain   attribute `json:"plain"`
	Objects []object  `json:"objects,omitempty"`
	Edits   []edit    `json:"-"` // on SQLite, in the place of the two before it
}

// recordHead is what the comment begins with.
const recordHead = "colseal: the plain column was "

const (
	attributeQuery = `SELECT a.attname::pg_catalog.text, a.attnum::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull::pg_catalog.text,
	COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), ''),
	COALESCE((SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(k.collname) FROM pg_catalog.pg_collation k
		JOIN pg_catalog.pg_namespace n ON n.oid = k.collnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation), ''),
	COALESCE(pg_catalog.col_description(a.attrelid, a.attnum), ''), (a.attidentity <> '' OR a.attgenerated <> '')::pg_catalog.text,
	EXISTS (SELECT FROM pg_catalog.pg_collation k WHERE k.oid = a.attcollation AND NOT k.collisdeterministic)::pg_catalog.text,
	(SELECT pg_catalog.array_agg(pg_catalog.format(s, $1::pg_catalog.text, a.attname))::pg_catalog.text FROM (
		SELECT 'ALTER TABLE %1$s ALTER %2$I SET STATISTICS ' || a.attstattarget AS s WHERE a.attstattarget >= 0
		UNION ALL SELECT 'ALTER TABLE %1$s ALTER %2$I SET STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
			FROM pg_catalog.pg_type y WHERE y.oid = a.atttypid AND y.typstorage <> a.attstorage
		UNION ALL SELECT 'ALTER TABLE %1$s ALTER %2$I SET COMPRESSION ' || CASE a.attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END WHERE a.attcompression <> ''
		UNION ALL SELECT 'ALTER TABLE %1$s ALTER %2$I SET (' || o || ')' FROM pg_catalog.unnest(a.attoptions) o WHERE o ~ '^n_distinct'
		UNION ALL SELECT 'GRANT ' || x.privilege_type || ' (%2$I) ON %1$s TO ' || CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.replace(pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)), '%', '%%') END
			|| CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END FROM pg_catalog.aclexplode(a.attacl) x) q)
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`

	triggerQuery = `SELECT p.prosrc, EXISTS (SELECT FROM pg_catalog.pg_trigger o WHERE o.tgrelid = g.tgrelid AND o.tgfoid = g.tgfoid AND o.tgenabled IN ('D', 'R'))::pg_catalog.text,
	n.nspname::pg_catalog.text, p.proname::pg_catalog.text, EXISTS (SELECT FROM pg_catalog.pg_trigger o WHERE o.tgrelid <> g.tgrelid AND o.tgfoid = g.tgfoid)::pg_catalog.text
FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE g.tgrelid = pg_catalog.to_regclass($1) AND g.tgname = $2`

	kindQuery = `SELECT (c.relkind = 'r' AND c.reloftype = 0 AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid)))::pg_catalog.text
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)`
)

var errNoTable = errors.New("there is no such table on this connection: create it, or take it out of the schema")

// neither returns the error for a column that the table has not got in any form.
func (p *pair) neither() error {
	return fmt.Errorf("it has neither a column %s nor %s: add the first", p.Source(), p.Stored)
}

func (m *migration) findTable(ctx context.Context, t *schema.Table, cols []*schema.Column) (*table, error) {
	rel, _, err := dbcatalog.ReadRelation(ctx, m.q, m.db.Dialect, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	if rel == nil || rel.View {
		return nil, errNoTable
	}
	out := &table{label: t.String(), name: rel.SQL(), rel: rel, modes: map[string]mode{}}
	if rel.Temporary {
		return nil, errors.New("it is a temporary table")
	}
	if !m.onLite() {
		kind, err := m.q.Query(ctx, kindQuery, out.name)
		if err != nil {
			return nil, err
		}
		if len(kind) != 1 || !kind[0].Bool(0) {
			return nil, errors.New("it has partitions or children, or is one, or is a typed or foreign table, which is not supported")
		}
	}
	if out.rows, err = walk.Find(ctx, m.q, m.db.Dialect, rel); err != nil {
		return nil, err
	}
	for _, col := range t.Columns() {
		if col.Stage == schema.StageNone {
			continue
		}
		p := &pair{Column: col, plain: dbcatalog.QuoteIdent(col.Source()), cell: dbcatalog.QuoteIdent(col.Stored)}
		if out.all = append(out.all, p); slices.Contains(cols, col) {
			out.pairs = append(out.pairs, p)
		}
	}
	if err := m.readTable(ctx, out); err != nil {
		return nil, err
	}
	return out, nil
}

// readTable reads what may change.
func (m *migration) readTable(ctx context.Context, t *table) error {
	if m.onLite() {
		return m.readLiteTable(ctx, t)
	}
	// Definitions name all that they are about with its schema: a later run may have another path.
	path, err := m.q.Query(ctx, "SELECT pg_catalog.current_setting('search_path'), pg_catalog.set_config('search_path', '', false)")
	if err != nil {
		return err
	}
	defer func() {
		_, _ = m.q.Query(context.WithoutCancel(ctx), resettingQuery, "search_path", path[0][0]) // if the transaction has failed, ROLLBACK does it
	}()
	rows, err := m.q.Query(ctx, attributeQuery, t.name)
	if err != nil {
		return err
	}
	cols := map[string]*attribute{}
	for _, r := range rows {
		after, err := stringsOf(r.Text(9))
		if err != nil {
			return err
		}
		cols[r.Text(0)] = &attribute{After: after, num: r.Int(1), Type: r.Text(2), NotNull: r.Bool(3), Default: r.Text(4), Collation: r.Text(5), Comment: r.Text(6), generated: r.Bool(7), loose: r.Bool(8)}
	}
	source, err := m.q.Query(ctx, triggerQuery, t.name, pairtrigger.Name)
	if err != nil {
		return err
	}
	t.modes, t.source, t.old = map[string]mode{}, "", ""
	if len(source) > 0 {
		t.source = source[0].Text(0)
		if f := (dbcatalog.Name{Schema: source[0].Text(2), Table: source[0].Text(3)}).SQL(); f != t.triggerFunction() && !source[0].Bool(4) {
			t.old = f
		}
		if source[0].Bool(1) {
			return fmt.Errorf("a trigger of %s is disabled, and what was written since may be in one of two columns alone: look for such rows, and ALTER TABLE %s ENABLE TRIGGER USER", pairtrigger.Name, t.name)
		}
		if t.modes, err = modesOf(source[0].Text(0)); err != nil {
			return err
		}
	}
	for stored := range t.modes {
		if !slices.ContainsFunc(t.all, func(p *pair) bool { return p.Stored == stored }) {
			return fmt.Errorf("its column %s is on its way, and no column with a stage in the schema has it for a companion: go on with the schema that it was begun with", stored)
		}
	}
	for _, p := range t.all {
		p.plainCol, p.cellCol, p.kept = cols[p.Source()], cols[p.Stored], nil
		switch {
		case p.plainCol == nil && p.cellCol == nil:
			return p.neither()
		case p.cellCol != nil && p.cellCol.Type != "bytea":
			return fmt.Errorf("its column %s has the type %s: make it bytea", p.Stored, p.cellCol.Type)
		}
		if p.cellCol != nil {
			if text, ok := strings.CutPrefix(p.cellCol.Comment, recordHead); ok {
				p.kept = &record{}
				if err := json.Unmarshal([]byte(text), p.kept); err != nil {
					return fmt.Errorf("the comment of its column %s is not what was written: %w", p.Stored, err)
				}
			}
		}
	}
	if err := m.readObjects(ctx, t); err != nil {
		return err
	}
	for _, p := range t.all {
		if _, ok := t.modes[p.Stored]; !ok && p.kept != nil && p.plainCol != nil && t.empty(p) == nil {
			return fmt.Errorf("the trigger %s is gone while programs write %s alone: what %s holds is not known", pairtrigger.Name, p.Stored, p.Source())
		}
	}
	return nil
}

// ready says what a pair is ready for, or on its way to if it is not done.
func (t *table) ready(p *pair) (r Ready, done bool) {
	if t.lite != nil {
		return p.liteReady()
	}
	switch {
	case p.cellCol == nil:
		return ReadyPlain, true
	case p.plainCol == nil:
		return ReadySealedOnly, true
	}
	if m, ok := t.modes[p.Stored]; ok {
		return m.Ready, m.Done
	}
	if c := t.empty(p); c != nil {
		return ReadySealedOnly, c.valid
	}
	return ReadyCopy, false
}

// emptyName returns the name of the CHECK that holds a plain column to NULL.
func (p *pair) emptyName() string { return ddl.Shorten("colseal_" + p.Source() + "_empty") }

// empty returns the CHECK that holds a plain column to NULL; nil for none. A column that was
// renamed has it under another name.
func (t *table) empty(p *pair) *constraint {
	i := slices.IndexFunc(t.checks, func(c *constraint) bool {
		named := slices.Contains([]string{"CHECK ((" + p.plain + " IS NULL))", "CHECK ((" + p.Source() + " IS NULL))"}, c.def)
		return c.name == p.emptyName() || named && p.plainCol != nil && slices.Equal(c.cols, []int64{p.plainCol.num})
	})
	if i < 0 {
		return nil
	}
	return t.checks[i]
}

// plainTypes are the types of the plain columns of kinds, for one whose record there is none of.
var plainTypes = map[codec.Kind]string{
	codec.KindText: "text", codec.KindBytes: "bytea", codec.KindInt: "bigint", codec.KindFloat: "double precision", codec.KindBool: "boolean",
	codec.KindTime: "timestamp with time zone", codec.KindJSON: "jsonb", codec.KindUUID: "uuid", codec.KindNumeric: "numeric",
	codec.KindTextArray: "text[]", codec.KindIntArray: "bigint[]", codec.KindDate: "date", codec.KindTimestamp: "timestamp without time zone",
}

// origin returns the plain column as it was, or as it is.
func (p *pair) origin() attribute {
	switch {
	case p.kept != nil:
		return p.kept.Plain
	case p.plainCol != nil:
		return *p.plainCol
	}
	was := attribute{Type: plainTypes[p.Kind], NotNull: p.cellCol.NotNull}
	if p.Was != nil {
		was.Type = "bytea"
	}
	return was
}
