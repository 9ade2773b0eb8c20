package pgxseal

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/pgxvalue"
)

// CopyFrom copies rows into a table, as pgx.Conn.CopyFrom does. It seals each row as rowSrc yields
// it, and holds no others in memory.
func (c *Conn) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	return c.c.copyFrom(ctx, tableName, columnNames, rowSrc)
}

func (c *conn) copyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	name, ok, err := c.registered(ctx, table)
	if err != nil {
		return 0, err
	}
	if !ok {
		n, err := c.raw.CopyFrom(ctx, table, columns, src)
		c.session.NoteError(err)
		return n, err
	}
	s := c.copies
	c.copies = nil
	if s == nil {
		s = &copySource{c: c}
	}
	defer s.close()
	rel, uses, err := c.session.CopyPlan(ctx, name, columns, s.uses)
	if err != nil {
		return 0, c.db().Refused(ctx, err)
	}
	if err := s.open(ctx, src, len(columns), uses); err != nil {
		return 0, err
	}
	s.table[0], s.table[1] = rel.Schema, rel.Name
	s.names = front.CopyNames(s.names[:0], uses)
	c.session.Busy(true)
	defer c.session.Busy(false) // also if a tracer of the program's panics
	n, err := c.raw.CopyFrom(ctx, s.table[:], s.names, s)
	c.session.NoteError(err)
	return n, err
}

// registered returns the name of a table as the server reads it. ok is false if no registered table
// of any schema has that name, and none of that name stands for a registered one.
func (c *conn) registered(ctx context.Context, table pgx.Identifier) (name dbcatalog.Name, ok bool, err error) {
	part := func(i int) string { return dbcatalog.ClipName(strings.ReplaceAll(table[i], "\x00", "")) } // as pgx writes it
	if len(table) == 0 {
		return name, false, nil
	}
	name.Table = part(len(table) - 1)
	if len(table) > 1 {
		name.Schema = part(len(table) - 2)
	}
	ok, err = c.session.Registers(ctx, name.Table)
	return name, ok, err
}

// copySource seals the rows of another source, each in one block of memory. Only pgx's goroutine
// uses it. A connection uses one copySource for one COPY after another.
type copySource struct {
	c     *conn
	table [2]string
	names []string // of the columns

	ctx   context.Context
	src   pgx.CopyFromSource
	width int // how many values a row has
	uses  []front.CopyColumn
	out   []any   // the current row, which pgx encodes before it asks for the next
	m     scratch // of the cells in it

	v     *front.Sealing // nil until it is begun
	left  int            // rows that keys were asked for
	chunk int
	row   int
	err   error
}

// The least and the most rows for which keys are asked at a time.
const (
	minChunk = 16
	maxChunk = 4096
)

// open begins a COPY of src's rows of so many values.
func (s *copySource) open(ctx context.Context, src pgx.CopyFromSource, width int, uses []front.CopyColumn) error {
	s.ctx, s.src, s.width, s.uses = ctx, src, width, uses
	s.row, s.chunk, s.err = 0, 0, nil
	if cap(s.out) < len(uses) {
		s.out, s.m.cells = make([]any, len(uses)), make(pgxvalue.Cells, 0, len(uses))
	}
	s.out = s.out[:len(uses)]
	return s.begin()
}

// begin asks for the keys of the next rows.
func (s *copySource) begin() error {
	s.end()
	s.chunk = min(max(2*s.chunk, minChunk), maxChunk)
	if most := s.c.db().Config().Cache.MaxSeals / 2; most > 0 && uint64(s.chunk) > most {
		s.chunk = int(most)
	}
	s.v, s.left = s.c.session.Seal(s.ctx, len(s.uses)), s.chunk
	for i := range s.uses {
		if u := &s.uses[i]; u.Sealed {
			s.v.Expect(&u.Use, s.chunk)
		}
	}
	return s.v.FindKeys(nil)
}

// end gives the keys back, and the memory of the last row, which pgx has encoded.
func (s *copySource) end() {
	if s.v == nil {
		return
	}
	block := s.v.Block()
	s.v.Close()
	s.v = nil
	s.c.session.Reuse(block)
}

// close ends the COPY.
func (s *copySource) close() {
	s.end()
	if s.c.traced || cap(s.out) > maxScratchArgs {
		return
	}
	clear(s.out)
	clear(s.m.cells)
	s.ctx, s.src = nil, nil
	s.c.copies = s
}

// Next implements pgx.CopyFromSource.
func (s *copySource) Next() bool { return s.err == nil && s.src.Next() }

// Err implements pgx.CopyFromSource.
func (s *copySource) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.src.Err()
}

// Values implements pgx.CopyFromSource.
func (s *copySource) Values() ([]any, error) {
	values, err := s.src.Values()
	if err != nil {
		return nil, err
	}
	if err := s.seal(values); err != nil {
		s.err = err
		return nil, err
	}
	return s.out, nil
}

func (s *copySource) seal(values []any) error {
	if len(values) != s.width {
		return fmt.Errorf("expected %d values, got %d values", s.width, len(values))
	}
	if s.left == 0 {
		if err := s.begin(); err != nil {
			return err
		}
	}
	s.left--
	s.v.Next()
	front.CopyValues(s.out, s.uses, values)
	for i := range s.uses {
		u := &s.uses[i]
		if !u.Sealed {
			continue
		}
		if err := s.c.collectValue(s.v, &u.Use, s.out[i], false); err != nil {
			return front.SealError(u.Use.Column, "row "+strconv.Itoa(s.row), err)
		}
	}
	s.row++
	if err := s.v.Seal(); err != nil {
		return err
	}
	s.m.cells = s.m.cells[:0]
	for i := range s.uses {
		if u := &s.uses[i]; u.Sealed {
			s.out[i] = s.m.argument(s.v, &u.Use)
		}
	}
	return nil
}
