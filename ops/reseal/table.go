package reseal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/walk"
	"github.com/colseal/colseal/schema"
)

// table is a table whose cells are re-sealed.
type table struct {
	label string // as the schema writes it
	name  string // in a statement
	cols  []*column
	rows  walk.Rows

	sql statements
}

// column is a sealed column of a table.
type column struct {
	*schema.Column
	label string   // what the report calls it
	sql   string   // its name in a statement
	text  bool     // cells are stored as text
	stale []string // heads of the cells to re-seal in this pass
}

// findTables finds the tables of the schema on this connection, as its search path has them.
// Views show the tables' cells and are left out.
func (r *resealer) findTables(ctx context.Context) ([]*table, error) {
	var tables []*table
	named := map[string]bool{}
	for _, t := range r.db.Schema.Tables() {
		if t.ViewOf != "" {
			continue
		}
		var cols []*schema.Column
		for _, col := range t.CellColumns() {
			if chosen(r.opts.Columns, named, t.String(), col.Name) {
				cols = append(cols, col)
			}
		}
		if len(cols) == 0 {
			continue
		}
		found, err := r.findTable(ctx, t, cols)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t, err)
		}
		tables = append(tables, found)
	}
	return tables, checkColumns(r.opts.Columns, named)
}

func (r *resealer) findTable(ctx context.Context, t *schema.Table, cols []*schema.Column) (*table, error) {
	rel, _, err := dbcatalog.ReadRelation(ctx, r.q, r.db.Dialect, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	if rel == nil || rel.View {
		return nil, hint.With(errors.New("there is no such table on this connection"), "create it, or take it out of the schema")
	}
	out := &table{label: t.String(), name: rel.SQL()}
	for _, col := range cols {
		at, label := rel.Column(col.CellColumn()), col.Name
		changes := slices.ContainsFunc(cols, func(o *schema.Column) bool { return o.Was != nil && (o == col || o.Was == col) })
		if changes {
			label = col.CellColumn()
		}
		switch {
		case at == nil && changes: // not yet, or not any more
			continue
		case at == nil:
			return nil, hint.With(fmt.Errorf("it has no column %s", col.CellColumn()), "add it, or take it out of the schema")
		case at.Storage == dbcatalog.StorageOther:
			return nil, hint.With(fmt.Errorf("its column %s has the type %s, which cannot hold cells", col.CellColumn(), at.Type), "make it bytea")
		}
		out.cols = append(out.cols, &column{Column: col, label: label, sql: dbcatalog.QuoteIdent(col.CellColumn()), text: at.Storage == dbcatalog.StorageText})
	}
	out.sql = postgresStatements{out}
	if r.db.Dialect == dialect.SQLite {
		out.sql = sqliteStatements{out}
	}
	out.rows, err = walk.Find(ctx, r.q, r.db.Dialect, rel)
	return out, err
}

// The head of a stored value is what tells its key without opening it: of a cell in bytes
// its header, in hexadecimal digits; of one in text the start that holds the header; ""
// of anything else. It holds nothing of a plaintext.
const (
	headTextSize = len(codec.TextPrefix) + 11 // of base64: eight bytes, and two bits of what follows
	tagEnd       = 4                          // of a header: version, suite and tag come first
)

// starts returns the first bytes of the column's cells in every suite, since the column may have
// had another mode.
func (c *column) starts() [][]byte {
	var out [][]byte
	for s := codec.SuiteRandomized; s.Valid(); s++ {
		out = append(out, codec.Header{Suite: s, Tag: c.Tag()}.Append(nil)[:tagEnd])
	}
	return out
}
