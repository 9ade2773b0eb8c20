package driver

import (
	sqldriver "database/sql/driver"
	"testing"

	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/pgxvalue"
)

// What is released is wiped, and used again; but only where the underlying driver is known
// to have copied it.
func TestScratchArguments(t *testing.T) {
	db := front.New(front.Config{})
	defer func() { _ = db.Close() }()
	newScratch := func(n int) scratch {
		m := scratch{args: make([]sqldriver.NamedValue, n), cells: make(pgxvalue.Cells, 0, n), block: make([]byte, n)}
		for i := range m.args {
			m.args[i].Value = m.cells.Argument(m.block[i : i+1])
		}
		return m
	}
	connOver := func(u underlying) *conn { return &conn{under: u, session: db.NewSession(u)} }

	c := connOver(&pgxConn{})
	m := newScratch(3)
	c.release(m)
	for i := range m.args {
		if m.args[i] != (sqldriver.NamedValue{}) || m.cells[i].Bytes != nil {
			t.Errorf("argument %d stayed: %+v, %v", i, m.args[i], m.cells[i])
		}
	}
	if cap(c.scratch.args) != 3 || cap(c.scratch.cells) != 3 {
		t.Error("the memory is not used again")
	}
	c.scratch = scratch{}
	c.release(newScratch(maxScratchArgs + 1))
	if cap(c.scratch.args) > 0 || cap(c.scratch.cells) > 0 {
		t.Errorf("%d arguments are kept", cap(c.scratch.args))
	}

	traced := connOver(&pgxConn{traced: true})
	m = newScratch(1)
	traced.release(m)
	if m.cells[0].Bytes == nil || traced.scratch.cells != nil {
		t.Error("a tracer that may keep the cells lost them")
	}

	other := connOver(&plainConn{})
	m = newScratch(1)
	other.release(m)
	if m.args[0].Value == nil || m.cells[0].Bytes == nil || other.scratch.args != nil {
		t.Error("a driver that may keep its arguments lost them")
	}
}
