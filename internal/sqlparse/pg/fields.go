package pg

import (
	"fmt"
	"reflect"

	"github.com/colseal/colseal/internal/sqlparse"
)

// handled is the promise of one lowering function about the message type T: every
// field that it does not name must be absent from the tree.
type handled[T any] struct {
	name string
	rest []int // indices of the exported fields that are not named
}

// handles makes the promise. The names are those of Go fields; one that T does not
// have is a bug that shows when the program starts. Fields without influence on
// where values flow are named too: naming them is the decision.
func handles[T any](names ...string) *handled[T] {
	t := reflect.TypeFor[T]()
	named := make(map[string]bool, len(names))
	for _, n := range names {
		if _, ok := t.FieldByName(n); !ok {
			panic(fmt.Sprintf("pg: %s has no field %s", t.Name(), n))
		}
		named[n] = true
	}
	h := &handled[T]{name: t.Name()}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && !named[f.Name] {
			h.rest = append(h.rest, i)
		}
	}
	return h
}

// check fails the lowering when m has a field that h does not name.
func (h *handled[T]) check(l *lowering, m *T) {
	if m == nil || len(h.rest) == 0 {
		return
	}
	v := reflect.ValueOf(m).Elem()
	for _, i := range h.rest {
		f := v.Field(i)
		if f.Kind() == reflect.Slice && f.Len() == 0 || f.IsZero() {
			continue
		}
		panic(sqlparse.Unsupportedf(l.near, "%s with %s is not supported", h.name, v.Type().Field(i).Name))
	}
}
