package pgxvalue

import "github.com/jackc/pgx/v5/pgtype"

// A Cell is an argument that is the cell of a bytea. Unlike a []byte a pointer to one needs no
// memory of its own when it becomes an interface value.
type Cell struct{ Bytes []byte }

// BytesValue implements pgtype.BytesValuer.
func (c *Cell) BytesValue() ([]byte, error) { return c.Bytes, nil }

// RegisterCell has a connection's type map take a *Cell for a bytea where the server did not say
// what a parameter is.
func RegisterCell(m *pgtype.Map) { m.RegisterDefaultPgType(&Cell{}, "bytea") }

// Cells is room for the cells of a statement.
type Cells []Cell

// Argument returns the argument for a cell, in the room that there is; it is a []byte if there is
// none.
func (c *Cells) Argument(cell []byte) any {
	if len(*c) == cap(*c) {
		return cell
	}
	*c = append(*c, Cell{cell})
	return &(*c)[len(*c)-1]
}
