package driver

import (
	sqldriver "database/sql/driver"
	"testing"
)

// What is given back is wiped, and used again; but only where the inner driver is known
// to have copied it.
func TestScratchArguments(t *testing.T) {
	c := &conn{pg: &pgxConn{}}
	args := c.takeArgs(3)
	args[1].Value = "plaintext that was not sealed"
	kept := args
	c.giveArgs(args)
	for _, a := range kept {
		if a != (sqldriver.NamedValue{}) {
			t.Errorf("%+v stayed", a)
		}
	}
	if again := c.takeArgs(2); &again[0] != &kept[0] {
		t.Error("the memory was not used again")
	}
	if second := c.takeArgs(2); &second[0] == &kept[0] {
		t.Error("two statements got the same memory")
	}
	c.giveArgs(make([]sqldriver.NamedValue, maxScratchArgs+1))
	if cap(c.scratch.args) > maxScratchArgs {
		t.Errorf("%d arguments are kept", cap(c.scratch.args))
	}

	other := &conn{}
	args = other.takeArgs(1)
	args[0].Value = "still wanted"
	other.giveArgs(args)
	if args[0].Value == nil || other.scratch.args != nil {
		t.Error("a driver that may keep its arguments lost them")
	}
}

// A sealer does not keep keys alive, nor does one within another share its memory.
func TestScratchKeys(t *testing.T) {
	c := &conn{}
	outer := c.newSealer(t.Context())
	outer.keys = append(outer.keys, columnKeys{cells: 1})
	inner := c.newSealer(t.Context())
	inner.keys = append(inner.keys, columnKeys{cells: 2})
	if outer.keys[0].cells != 1 {
		t.Error("two sealers share their memory")
	}
	inner.done()
	outer.done()
	if kept := c.scratch.keys[:1]; kept[0].cells != 0 {
		t.Error("what was done with is kept")
	}
}
