package driver

import (
	sqldriver "database/sql/driver"
	"testing"
)

// What is released is wiped, and used again; but only where the underlying driver is known
// to have copied it.
func TestScratchArguments(t *testing.T) {
	c := &conn{under: &pgxConn{}}
	args := c.takeArgs(3)
	args[1].Value = "plaintext that was not sealed"
	kept := args
	c.release(args)
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
	c.release(make([]sqldriver.NamedValue, maxScratchArgs+1))
	if cap(c.args) > maxScratchArgs {
		t.Errorf("%d arguments are kept", cap(c.args))
	}

	other := &conn{under: &plainConn{}}
	args = other.takeArgs(1)
	args[0].Value = "still wanted"
	other.release(args)
	if args[0].Value == nil || other.args != nil {
		t.Error("a driver that may keep its arguments lost them")
	}
}
