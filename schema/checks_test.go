package schema

import (
	"strconv"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
)

var time0 time.Time

// collidingID finds another identity with the 16-bit tag of the given one.
func collidingID(identity string) string {
	for i := 0; ; i++ {
		if id := "other." + strconv.Itoa(i); codec.ColumnTag(id) == codec.ColumnTag(identity) {
			return id
		}
	}
}

// TestOfferedIdentityMendsCollision follows the advice of the error.
func TestOfferedIdentityMendsCollision(t *testing.T) {
	a, b := Column{Name: "a"}, Column{Name: "b", ID: collidingID("users.a")}
	if _, err := New(Columns("users", a, b)); err == nil {
		t.Fatal("no error")
	}
	b.ID += ".2"
	if _, err := New(Columns("users", a, b)); err != nil {
		t.Error(err)
	}
}

func TestSourcesAreNotChanged(t *testing.T) {
	cols := []Column{{Name: "a"}}
	Must(Columns("users", cols...))
	if cols[0] != (Column{Name: "a"}) {
		t.Errorf("the caller's column became %+v", cols[0])
	}
}
