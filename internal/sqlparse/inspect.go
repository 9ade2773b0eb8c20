package sqlparse

import "reflect"

// Inspect calls f for each node of a tree, before the nodes inside it; f returns whether to
// look inside. Nodes are the pointers of the tree. tree is a node, or a slice of them.
func Inspect(tree any, f func(node any) (inside bool)) { inspect(reflect.ValueOf(tree), f) }

func inspect(v reflect.Value, f func(any) bool) {
	switch v.Kind() {
	case reflect.Interface:
		inspect(v.Elem(), f)
	case reflect.Pointer:
		if !v.IsNil() && f(v.Interface()) {
			inspect(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			inspect(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			inspect(v.Field(i), f)
		}
	}
}
