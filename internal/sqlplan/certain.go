package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// Named returns the relations that a text names. It returns false if the text may reach others: by
// a function that is not known to be harmless, by what was prepared before, or by a statement that
// may change what names mean.
func (p *Planner) Named(sql string) ([]dbcatalog.Name, bool) {
	file, err := p.parse(sql)
	if err != nil {
		return nil, false
	}
	var names []dbcatalog.Name
	for i := range file.Statements {
		stmt := file.Statements[i].Stmt
		if p.effects(stmt)&^(EndsTransaction|ChangesSession|ImportsSnapshot) != 0 {
			return nil, false
		}
		certain := true
		sqlparse.Inspect(stmt, func(node any) bool {
			switch n := node.(type) {
			case *sqlparse.TableName:
				names = append(names, dbcatalog.Name{Schema: n.Schema, Table: n.Name})
			case *sqlparse.Utility:
				certain = certain && !n.Carries && n.Kept == nil && !n.Everything && len(n.Definitions)+len(n.Renames)+len(n.Schemas) == 0
			}
			return true
		})
		if !certain {
			return nil, false
		}
	}
	return names, true
}

// Registers reports whether a relation, whose schema is known, is registered itself. Then only what
// the catalog says of companions, of columns on their way between plain and sealed, matters for it.
func (p *Planner) Registers(n dbcatalog.Name) bool {
	t := pick(p.tables[p.fold(n.Table)], n.Schema)
	return t != nil && !slices.ContainsFunc(t.Columns(), func(c *schema.Column) bool { return c.Stage != schema.StageNone })
}
