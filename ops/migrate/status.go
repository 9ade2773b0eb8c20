package migrate

import (
	"context"
	"database/sql"
	"fmt"
)

// ColumnStatus is where a column is on its way.
type ColumnStatus struct {
	Table, Column string // as the schema writes them
	Companion     string
	Changes       bool // it was sealed before, in another way: Unsealed are cells without a companion, Unopened companions without a cell
	Ready         Ready
	Done          bool  // all that comes with it was done
	Unsealed      int64 // values without a cell
	Unopened      int64 // cells without a value, while there is a plain column
}

// Status returns where columns are on their way. It takes names of columns, "users.email", or of
// tables, "users" for all of its columns that have a stage. Without names it returns those of the
// whole schema. It reads every row of tables that have both columns.
func Status(ctx context.Context, db *sql.DB, columns ...string) ([]ColumnStatus, error) {
	var out []ColumnStatus
	err := with(ctx, db, Options{Columns: columns}, func(m *migration) error {
		for _, t := range m.tables {
			for _, p := range t.pairs {
				s := ColumnStatus{Table: t.label, Column: p.Name, Companion: p.Stored, Changes: p.Was != nil}
				s.Ready, s.Done = t.ready(p)
				if p.plainCol != nil && p.cellCol != nil {
					count := "pg_catalog.count"
					if m.onLite() {
						count = "count"
					}
					rows, err := m.q.Query(ctx, "SELECT "+count+"(*) FILTER (WHERE "+p.plain+" IS NOT NULL AND "+p.cell+" IS NULL), "+
						count+"(*) FILTER (WHERE "+p.plain+" IS NULL AND "+p.cell+" IS NOT NULL) FROM "+t.name)
					if err != nil {
						return err
					}
					s.Unsealed, s.Unopened = rows[0].Int(0), rows[0].Int(1)
				}
				out = append(out, s)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return out, nil
}
