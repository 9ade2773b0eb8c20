package schema

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// class groups Go types by how database/sql converts them.
type class uint8

const (
	classUnsupported class = iota
	classString
	classNamedString // database/sql converts fewer values to it than to string
	classBytes
	classNamedBytes
	classRawJSON
	classInt // signed and unsigned
	classFloat
	classBool
	classTime
	classPgtype // a scalar of pgx's pgtype, which converts itself
	classUUID
	class16Bytes // an array that may be a UUID
	classTexts
	classInts
	classDocument // structs, maps and what else only JSON can hold
	classOpaque   // converts itself
	classAny      // an interface
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	rawJSONType  = reflect.TypeFor[json.RawMessage]()
	rawBytesType = reflect.TypeFor[sql.RawBytes]()
	valuerType   = reflect.TypeFor[driver.Valuer]()
	scannerType  = reflect.TypeFor[sql.Scanner]()
)

// nullTypes are database/sql's, which hold a plain value.
var nullTypes = map[reflect.Type]reflect.Type{
	reflect.TypeFor[sql.NullString]():  reflect.TypeFor[string](),
	reflect.TypeFor[sql.NullInt64]():   reflect.TypeFor[int64](),
	reflect.TypeFor[sql.NullInt32]():   reflect.TypeFor[int32](),
	reflect.TypeFor[sql.NullInt16]():   reflect.TypeFor[int16](),
	reflect.TypeFor[sql.NullByte]():    reflect.TypeFor[byte](),
	reflect.TypeFor[sql.NullFloat64](): reflect.TypeFor[float64](),
	reflect.TypeFor[sql.NullBool]():    reflect.TypeFor[bool](),
	reflect.TypeFor[sql.NullTime]():    timeType,
}

// pgtypeKinds are the kinds of pgtype's scalars, by name: this package does not
// import pgx.
var pgtypeKinds = map[string]Kind{
	"Text": KindText, "Int2": KindInt, "Int4": KindInt, "Int8": KindInt, "Float4": KindFloat, "Float8": KindFloat, "Bool": KindBool, "UUID": KindUUID, "Numeric": KindNumeric,
	"Timestamptz": KindTime, "Date": KindDate, "Timestamp": KindTimestamp,
}

func isPgtype(t reflect.Type) bool {
	return t.PkgPath() == "github.com/jackc/pgx/v5/pgtype" && pgtypeKinds[t.Name()] != 0
}

// genericNull returns the T of a sql.Null[T].
func genericNull(t reflect.Type) (reflect.Type, bool) {
	if t.PkgPath() != "database/sql" || !strings.HasPrefix(t.Name(), "Null[") || t.Kind() != reflect.Struct {
		return nil, false
	}
	f, ok := t.FieldByName("V")
	return f.Type, ok
}

// leafType strips pointers and database/sql's Null types.
func leafType(t reflect.Type) reflect.Type {
	for {
		if inner, ok := nullTypes[t]; ok {
			return inner
		}
		if inner, ok := genericNull(t); ok {
			t = inner
			continue
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
}

// isOpaque says whether a type converts itself.
func isOpaque(t reflect.Type) bool {
	t = deref(t)
	p := reflect.PointerTo(t)
	return p.Implements(valuerType) || p.Implements(scannerType)
}

func classOf(t reflect.Type) class {
	null := isGenericNull(t)
	t = leafType(t)
	c := classOfLeaf(t)
	switch c {
	case classUUID, class16Bytes, classTexts, classInts, classDocument, classAny:
		if null && !isOpaque(t) {
			return classUnsupported // sql.Null[T] passes T to database/sql's default conversion, which refuses it
		}
	}
	return c
}

func isGenericNull(t reflect.Type) bool {
	_, ok := genericNull(deref(t))
	return ok
}

func classOfLeaf(t reflect.Type) class {
	switch {
	case t == timeType:
		return classTime
	case t == rawJSONType:
		return classRawJSON
	case t == rawBytesType:
		return classUnsupported
	case is16Bytes(t) && (t.Name() == "" || strings.EqualFold(t.Name(), "UUID")):
		return classUUID
	case isPgtype(t):
		return classPgtype
	case t.Kind() == reflect.Interface:
		return classAny
	case isOpaque(t):
		return classOpaque
	}
	switch t.Kind() {
	case reflect.String:
		if t == reflect.TypeFor[string]() {
			return classString
		}
		return classNamedString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return classInt
	case reflect.Float32, reflect.Float64:
		return classFloat
	case reflect.Bool:
		return classBool
	case reflect.Slice:
		return classOfSlice(t)
	case reflect.Array:
		return classOfArray(t)
	case reflect.Struct, reflect.Map:
		return classDocument
	}
	return classUnsupported
}

func classOfSlice(t reflect.Type) class {
	switch t.Elem().Kind() {
	case reflect.Uint8:
		if t == reflect.TypeFor[[]byte]() {
			return classBytes
		}
		return classNamedBytes
	case reflect.String:
		return classTexts
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		return classInts
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return classUnsupported
	}
	return classDocument
}

func classOfArray(t reflect.Type) class {
	switch {
	case is16Bytes(t):
		return class16Bytes
	case t.Elem().Kind() == reflect.Uint8:
		return classUnsupported // neither bytes nor a sensible document
	}
	return classDocument
}

func is16Bytes(t reflect.Type) bool {
	return t.Kind() == reflect.Array && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8
}
