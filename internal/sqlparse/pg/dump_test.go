package pg

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/colseal/colseal/internal/sqlparse"
)

// dump writes a tree compactly: positions and zero fields are left out.
func dump(v any) string {
	switch x := v.(type) {
	case nil:
		return "nil"
	case *sqlparse.Column:
		s := strings.Join(x.Parts, ".")
		if x.Star {
			return strings.TrimPrefix(s+".*", ".")
		}
		return s
	case *sqlparse.Param:
		return fmt.Sprintf("$%d", x.Number)
	case *sqlparse.Const:
		return constant(x.Value)
	case *sqlparse.Default:
		return "DEFAULT"
	case sqlparse.Name:
		if x.Indirect {
			return x.Name + "[]"
		}
		return x.Name
	case *sqlparse.Alias:
		if len(x.Columns) > 0 {
			return fmt.Sprintf("%s%v", x.Name, x.Columns)
		}
		return x.Name
	case sqlparse.Type:
		s := x.Name
		if x.Schema != "" && x.Schema != "pg_catalog" {
			s = x.Schema + "." + s
		}
		if x.Modified {
			s += "(…)"
		}
		if x.Array {
			s += "[]"
		}
		return s
	}
	return dumpValue(reflect.ValueOf(v))
}

func constant(v any) string {
	switch x := v.(type) {
	case nil:
		return "NULL"
	case string:
		return fmt.Sprintf("%q", x)
	case bool:
		return strings.ToUpper(fmt.Sprint(x))
	case sqlparse.Number:
		return "Number(" + string(x) + ")"
	}
	return fmt.Sprint(v)
}

func dumpValue(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return "nil"
		}
		if v.Kind() == reflect.Interface {
			return dump(v.Interface())
		}
		return dumpStruct(v.Elem())
	case reflect.Struct:
		return dumpStruct(v)
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = dump(v.Index(i).Interface())
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// hidden are the fields that hold positions.
var hidden = map[string]bool{"At": true, "End": true, "SourceAt": true}

func dumpStruct(v reflect.Value) string {
	var b strings.Builder
	b.WriteString("(" + v.Type().Name())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		// A nil column list means all columns; an empty one cannot be.
		if hidden[f.Name] || v.Field(i).IsZero() {
			continue
		}
		val := dump(v.Field(i).Interface())
		if val == "true" {
			fmt.Fprintf(&b, " %s", f.Name)
		} else {
			fmt.Fprintf(&b, " %s=%s", f.Name, val)
		}
	}
	return b.String() + ")"
}

// dumpFile writes the statements of a file, one per line.
func dumpFile(f *sqlparse.File) string {
	var lines []string
	for _, s := range f.Statements {
		lines = append(lines, dump(s.Stmt))
	}
	return strings.Join(lines, "\n")
}
