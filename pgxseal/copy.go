package pgxseal

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
)

// CopyFrom copies rows into a table, as pgx.Conn.CopyFrom does. Each row is sealed when rowSrc gives it: rows are not gathered.
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
	rel, uses, err := c.session.CopyPlan(ctx, name, columns)
	if err != nil {
		return 0, c.db().Refused(ctx, err)
	}
	s := &copySource{ctx: ctx, c: c, src: src, width: len(columns), uses: uses, out: make([]any, len(uses)), m: scratch{cells: make([]cellBytes, 0, len(uses))}}
	defer s.close()
	if err := s.begin(); err != nil {
		return 0, err
	}
	c.session.Busy(true)
	n, err := c.raw.CopyFrom(ctx, pgx.Identifier{rel.Schema, rel.Name}, front.CopyNames(uses), s)
	c.session.Busy(false)
	c.session.NoteError(err)
	return n, err
}

// registered returns the name of a table as the server takes it; ok is false if no table is registered, in any schema, by that name, and none of that name stands for one.
func (c *conn) registered(ctx context.Context, table pgx.Identifier) (name dbcatalog.Name, ok bool, err error) {
	parts := make([]string, len(table))
	for i, part := range table {
		parts[i] = dbcatalog.ClipName(strings.ReplaceAll(part, "\x00", "")) // as pgx writes it
	}
	if len(parts) == 0 {
		return name, false, nil
	}
	name.Table = parts[len(parts)-1]
	if len(parts) > 1 {
		name.Schema = parts[len(parts)-2]
	}
	ok, err = c.session.Registers(ctx, name.Table)
	return name, ok, err
}

// copySource seals the rows of another source, each in one block. Only one goroutine uses it at a time, which is pgx's.
type copySource struct {
	ctx   context.Context
	c     *conn
	src   pgx.CopyFromSource
	width int // how many values a row has
	uses  []front.CopyColumn
	out   []any   // the current row, which pgx encodes before it asks for the next
	m     scratch // of the cells in it

	v     front.Sealing
	begun bool
	left  int // rows that keys were asked for
	chunk int
	row   int
	err   error
}

// The least and the most rows for which keys are asked at a time.
const (
	minChunk = 16
	maxChunk = 4096
)

// begin asks for the keys of the next rows.
func (s *copySource) begin() error {
	s.close()
	s.chunk = min(max(2*s.chunk, minChunk), maxChunk)
	if most := s.c.db().Config().Cache.MaxSeals / 2; most > 0 && uint64(s.chunk) > most {
		s.chunk = int(most)
	}
	s.v, s.begun, s.left = s.c.session.Seal(s.ctx, len(s.uses)), true, s.chunk
	for _, u := range s.uses {
		if u.Use != nil {
			s.v.Expect(u.Use, s.chunk)
		}
	}
	return s.v.FindKeys(nil)
}

func (s *copySource) close() {
	if s.begun {
		s.v.Close()
		s.begun = false
	}
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
	for i := range s.uses {
		u := &s.uses[i]
		if u.Use == nil {
			s.out[i] = values[u.From]
		} else if err := s.c.collectValue(&s.v, u.Use, values[u.From], false); err != nil {
			return front.SealError(u.Use.Column, "row "+strconv.Itoa(s.row), err)
		}
	}
	s.row++
	if err := s.v.Seal(); err != nil {
		return err
	}
	s.m.cells = s.m.cells[:0]
	for i := range s.uses {
		if use := s.uses[i].Use; use != nil {
			s.out[i] = s.m.argument(&s.v, use)
		}
	}
	return nil
}
