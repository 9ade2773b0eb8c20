package driver

import (
	"encoding/hex"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
)

// sealedText is a text whose literals are sealed.
type sealedText struct {
	sql string
	// oneOff says that the text will hardly ever occur again, because it holds the
	// cell of a randomized column: caching a prepared statement for it is a waste.
	oneOff bool
}

// text returns the text to send. Base64url, hex digits and the quotes around them need no
// escaping in any dialect.
func (s *sealer) text(p *sqlplan.Plan) (sealedText, error) {
	if len(p.Literals) == 0 {
		return sealedText{sql: p.Chunks[0]}, nil
	}
	var b strings.Builder
	oneOff := false
	for i := range p.Literals {
		b.WriteString(p.Chunks[i])
		lit := &p.Literals[i]
		if lit.Use.Column.Suite() == codec.SuiteRandomized {
			oneOff = true
		}
		if err := s.literal(&b, lit); err != nil {
			return sealedText{}, whereLiteral(lit, err)
		}
	}
	b.WriteString(p.Chunks[len(p.Literals)])
	return sealedText{sql: b.String(), oneOff: oneOff}, nil
}

func (s *sealer) literal(b *strings.Builder, lit *sqlplan.Literal) error {
	v, err := s.takeInAgain(lit)
	if err != nil {
		return err
	}
	if v == nil {
		b.WriteString("NULL")
		return nil
	}
	if lit.Use.Array {
		cells, err := s.cells(&lit.Use, v.([]any))
		if err != nil {
			return err
		}
		b.WriteByte('\'')
		b.WriteString(arrayLiteral(lit.Use.Storage, cells))
		b.WriteByte('\'')
		if lit.Use.Storage == dbcatalog.StorageText {
			b.WriteString("::text[]")
		} else {
			b.WriteString("::bytea[]")
		}
		return nil
	}
	cell, err := s.cell(&lit.Use, v)
	if err != nil {
		return err
	}
	writeCell(b, s.c.st.cfg.Dialect, lit.Use.Storage, cell)
	return nil
}

// takeInAgain is takeIn without counting: the literals' cells are counted already.
func (s *sealer) takeInAgain(lit *sqlplan.Literal) (any, error) {
	if !lit.Use.Array {
		return s.unwrapValue(lit.Use.Column.Kind, lit.Value)
	}
	elems, err := s.unwrapArray(lit.Use.Column.Kind, lit.Value)
	return orNull(elems), err
}

func writeCell(b *strings.Builder, d dialect.Dialect, storage dbcatalog.Storage, cell []byte) {
	switch {
	case storage == dbcatalog.StorageText:
		b.WriteByte('\'')
		b.WriteString(codec.EncodeText(cell))
		b.WriteByte('\'')
	case d == SQLite:
		b.WriteString("X'")
		b.WriteString(hex.EncodeToString(cell))
		b.WriteByte('\'')
	default:
		b.WriteString(`'\x`)
		b.WriteString(hex.EncodeToString(cell))
		b.WriteString("'::bytea")
	}
}

// arrayLiteral writes cells as PostgreSQL's array literal; nil cells are NULL.
func arrayLiteral(storage dbcatalog.Storage, cells [][]byte) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, cell := range cells {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case cell == nil:
			b.WriteString("NULL")
		case storage == dbcatalog.StorageText:
			b.WriteByte('"')
			b.WriteString(codec.EncodeText(cell))
			b.WriteByte('"')
		default:
			b.WriteString(`"\\x`)
			b.WriteString(hex.EncodeToString(cell))
			b.WriteByte('"')
		}
	}
	b.WriteByte('}')
	return b.String()
}
