package driver

import (
	"math"
	"reflect"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/schema"
)

// columnType describes the plaintext of a sealed column as the column type of a plain
// one would be described.
type columnType struct {
	scan   reflect.Type
	name   string // PostgreSQL's name
	lite   string // SQLite's
	length int64  // 0: not a type of variable length
}

var (
	stringType = reflect.TypeFor[string]()
	bytesType  = reflect.TypeFor[[]byte]()

	// As pgx describes them, but for numeric: pgx says float64, which loses digits.
	columnTypes = map[codec.Kind]columnType{
		schema.KindText:      {stringType, "TEXT", "TEXT", math.MaxInt64},
		schema.KindBytes:     {bytesType, "BYTEA", "BLOB", math.MaxInt64},
		schema.KindInt:       {reflect.TypeFor[int64](), "INT8", "INTEGER", 0},
		schema.KindFloat:     {reflect.TypeFor[float64](), "FLOAT8", "REAL", 0},
		schema.KindBool:      {reflect.TypeFor[bool](), "BOOL", "BOOLEAN", 0},
		schema.KindTime:      {reflect.TypeFor[time.Time](), "TIMESTAMPTZ", "DATETIME", 0},
		schema.KindJSON:      {stringType, "JSONB", "TEXT", 0},
		schema.KindUUID:      {stringType, "UUID", "TEXT", 0},
		schema.KindNumeric:   {stringType, "NUMERIC", "NUMERIC", 0},
		schema.KindTextArray: {stringType, "_TEXT", "TEXT", 0},
		schema.KindIntArray:  {stringType, "_INT8", "TEXT", 0},
		schema.KindDate:      {reflect.TypeFor[time.Time](), "DATE", "DATE", 0},
		schema.KindTimestamp: {reflect.TypeFor[time.Time](), "TIMESTAMP", "DATETIME", 0},
	}
)

func (r *rows) columnType(o *front.Opener) columnType {
	t, ok := columnTypes[o.Kind()]
	if !ok {
		t = columnType{scan: reflect.TypeFor[any]()}
	}
	if o.Array() {
		return columnType{scan: stringType, name: "_" + t.name}
	}
	if r.c.db().Config().Dialect == DialectSQLite {
		t.name = t.lite
	}
	return t
}
