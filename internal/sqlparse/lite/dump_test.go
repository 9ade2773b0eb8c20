package lite

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// dump prints a tree compactly: the node's name and its fields that are not zero,
// without positions.
func dump(v any) string {
	var b strings.Builder
	dumpValue(&b, reflect.ValueOf(v))
	return b.String()
}

func dumpValue(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		dumpValue(b, v.Elem())
	case reflect.Pointer:
		dumpNode(b, v)
	case reflect.Struct:
		dumpStruct(b, v, "")
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(' ')
			}
			dumpValue(b, v.Index(i))
		}
		b.WriteByte(']')
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			fmt.Fprintf(b, "%q", v.String())
			return
		}
		b.WriteString(v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}

// dumpNode prints the most frequent nodes in a form of their own.
func dumpNode(b *strings.Builder, v reflect.Value) {
	switch n := v.Interface().(type) {
	case *sqlparse.Column:
		b.WriteString(strings.Join(n.Parts, "."))
		if n.Star {
			b.WriteString("*")
		}
	case *sqlparse.Param:
		fmt.Fprintf(b, "?%s", n.Name)
		if n.Number != 0 {
			fmt.Fprint(b, n.Number)
		}
	case *sqlparse.Const:
		if n.Value == nil {
			b.WriteString("NULL")
			return
		}
		dumpValue(b, reflect.ValueOf(n.Value))
	case *sqlparse.TableName:
		b.WriteString(strings.TrimPrefix(n.Schema+"."+n.Name, "."))
		if n.Alias != nil {
			b.WriteString(" as " + n.Alias.Name)
		}
	default:
		dumpStruct(b, v.Elem(), v.Elem().Type().Name())
	}
}

func dumpStruct(b *strings.Builder, v reflect.Value, name string) {
	b.WriteString(name + "{")
	first := true
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "At" || f.Name == "End" || f.Name == "SourceAt" || v.Field(i).IsZero() {
			if f.Type.Kind() != reflect.Slice || v.Field(i).IsNil() {
				continue
			}
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		b.WriteString(f.Name)
		if v.Field(i).Kind() != reflect.Bool {
			b.WriteByte(':')
			dumpValue(b, v.Field(i))
		}
	}
	b.WriteByte('}')
}

func mustParse(t testing.TB, sql string) *sqlparse.File {
	t.Helper()
	f, err := Parse(sql, sqlparse.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return f
}

func dumpAll(f *sqlparse.File) string {
	var parts []string
	for _, s := range f.Statements {
		parts = append(parts, dump(s.Stmt))
	}
	return strings.Join(parts, "; ")
}
