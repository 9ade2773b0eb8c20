package front

import (
	"context"
	"slices"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pgxvalue"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// Registers reports whether a table or view of that name is registered in any schema, stands for
// one that is, or is the keyring's table.
func (s *Session) Registers(ctx context.Context, name string) (bool, error) {
	if err := s.surveyTable(ctx, dbcatalog.Name{Table: name}); err != nil {
		return false, err
	}
	return s.known().Names(name) || s.db.registered[name], nil
}

// A CopyColumn is a column that rows are copied into.
type CopyColumn struct {
	Name   string
	From   int // the value's index in a row
	Sealed bool
	Use    sqlplan.Use // of a sealed one
}

// CopyNames appends the names of columns to names.
func CopyNames(names []string, cols []CopyColumn) []string {
	for i := range cols {
		names = append(names, cols[i].Name)
	}
	return names
}

// CopyValues puts the value of each column of a row into out. One that goes to two columns is the
// same for both.
func CopyValues(out []any, cols []CopyColumn, row []any) {
	for i := range cols {
		switch from := cols[i].From; {
		case i > 0 && cols[i-1].From == from:
			out[i] = out[i-1]
		case i+1 < len(cols) && cols[i+1].From == from:
			out[i] = pgxvalue.Settled(row[from])
		default:
			out[i] = row[from]
		}
	}
}

// CopyPlan returns the table that a COPY into name means here, and the columns that receive the
// values of the listed ones. A column on its way between plain and sealed may stand for two. name
// is written as in the catalog. CopyPlan uses the memory of room if that is enough.
func (s *Session) CopyPlan(ctx context.Context, name dbcatalog.Name, columns []string, room []CopyColumn) (*dbcatalog.Relation, []CopyColumn, error) {
	s.Sync()
	if err := s.tellStages(ctx); err != nil {
		return nil, nil, err
	}
	rel, uses, err := s.copyPlan(ctx, name, columns, room)
	if err != nil && s.Outdated(ctx) {
		return s.copyPlan(ctx, name, columns, room)
	}
	return rel, uses, err
}

func (s *Session) copyPlan(ctx context.Context, name dbcatalog.Name, columns []string, room []CopyColumn) (*dbcatalog.Relation, []CopyColumn, error) {
	rel, err := s.Relation(ctx, name.Schema, name.Table)
	if err != nil {
		return nil, nil, err
	}
	if rel == nil {
		return nil, nil, &sqlplan.Refusal{Table: name.Table, Class: colseal.ClassStorage, Reason: "COPY into a table that the server does not have (for this connection's search path)",
			Hint: "create it first, or correct the name"}
	}
	if keys := s.db.cfg.Plans.KeyTable; rel.Name == keys.Table && (keys.Schema == "" || rel.Schema == keys.Schema) {
		return nil, nil, &sqlplan.Refusal{Table: rel.Name, Class: colseal.ClassKeyring, Reason: "COPY into the keyring table", Hint: "change keys with colseal keys"}
	}
	sealed, err := s.sealedColumns(rel)
	if err != nil {
		return nil, nil, err
	}
	uses, err := copyUses(s.db.cfg.Schema, sealed, rel, columns, room)
	if err == nil && s.db.cfg.WriteOnly != nil {
		for _, u := range uses {
			if u.Sealed && !writable(&u.Use) {
				return nil, nil, notInbox(u.Use.Column)
			}
		}
	}
	return rel, uses, err
}

// sealedColumns returns the sealed columns of a relation that rows are copied into. A plain
// relation has none.
func (s *Session) sealedColumns(rel *dbcatalog.Relation) ([]*schema.Column, error) {
	return s.db.planner.SealedColumns(s.known(), rel)
}

// known returns what the planner goes by for this session.
func (s *Session) known() *sqlplan.Known {
	if s.env.Known != nil {
		return s.env.Known
	}
	return s.db.planner.Known()
}

// copyUses returns the columns that are written.
func copyUses(sc *schema.Schema, sealed []*schema.Column, rel *dbcatalog.Relation, columns []string, room []CopyColumn) (uses []CopyColumn, err error) {
	uses = room[:0]
	if len(sealed) == 0 {
		for i, name := range columns {
			uses = append(uses, CopyColumn{Name: name, From: i})
		}
		for _, t := range sc.Tables() {
			if t.Name != rel.Name && dbcatalog.ClipName(t.Name) == rel.Name {
				return nil, &sqlplan.Refusal{Table: t.String(), Class: colseal.ClassName, Reason: "COPY into a table that is registered under a name longer than PostgreSQL keeps names", Hint: "register it under the name that it has in the catalog"}
			}
		}
		return uses, nil
	}
	named := func(name string) *schema.Column {
		for _, c := range sealed {
			if c.Name == name {
				return c
			}
		}
		return nil
	}
	table := dbcatalog.Name{Schema: rel.Schema, Table: rel.Name}
	for _, at := range rel.Columns {
		if c := named(at.Name); c != nil && !c.Copied() && c.Stage != schema.StageOnly && (at.Default || at.Generated) && !slices.Contains(columns, at.Name) {
			return nil, &sqlplan.Refusal{Table: table.SQL(), Column: at.Name, Class: colseal.ClassPlaintext, Reason: "the column's default would be stored unsealed", Hint: "drop the default and give the value in each row"}
		}
	}
	for i, name := range columns {
		if len(name) > dbcatalog.MaxName {
			return nil, &sqlplan.Refusal{Table: table.SQL(), Class: colseal.ClassName, Reason: "COPY into a column whose name is longer than PostgreSQL keeps names, so that it is not known which one it means", Hint: "write the name as it is in the table"}
		}
		col := named(name)
		if col == nil {
			uses = append(uses, CopyColumn{Name: name, From: i})
			continue
		}
		if both := col.Stage == schema.StageCopy || col.Stage == schema.StageSealed; both && col.Was == nil {
			uses = append(uses, CopyColumn{Name: name, From: i})
		} else if both {
			if uses, err = copyCells(uses, col.Was, rel, i, false); err != nil {
				return nil, err
			}
		}
		if uses, err = copyCells(uses, col, rel, i, col.Stage == schema.StageCopy); err != nil {
			return nil, err
		}
	}
	return uses, nil
}

// copyCells appends the column of the cells of a sealed one. spare: it need not be there.
func copyCells(uses []CopyColumn, col *schema.Column, rel *dbcatalog.Relation, from int, spare bool) ([]CopyColumn, error) {
	at := rel.Column(col.CellColumn())
	switch {
	case at == nil && spare:
		return uses, nil
	case at == nil || at.Storage == dbcatalog.StorageOther:
		reason := "COPY into a sealed column that the table does not have"
		if at != nil {
			reason = "COPY into a sealed column of type " + at.Type + ", which cannot hold a cell"
		}
		return nil, &sqlplan.Refusal{Table: dbcatalog.Name{Schema: rel.Schema, Table: rel.Name}.SQL(), Column: col.CellColumn(), Class: colseal.ClassStorage, Reason: reason, Hint: "make it bytea"}
	}
	return append(uses, CopyColumn{Name: at.Name, From: from, Sealed: true, Use: sqlplan.Use{Column: col, Storage: at.Storage, Copy: spare, Beside: sqlplan.Beside(col)}}), nil
}
