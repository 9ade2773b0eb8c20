package pgvalue

import (
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/codec"
)

// SQLite has no types to convert to, but the affinities of columns and of casts. A plaintext
// column is taken to have the affinity that keeps the kind: INTEGER, REAL, TEXT and so on.

// sqliteAffinity returns the affinity of a type's name.
func sqliteAffinity(name string) string {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(name, p) })
	}
	switch {
	case has("int"):
		return "integer"
	case has("char", "clob", "text"):
		return "text"
	case has("blob"):
		return "blob"
	case has("real", "floa", "doub"): //nolint:misspell // the first letters of double
		return "real"
	}
	return "numeric"
}

// sqliteKeeps are the affinities to which a cast leaves every value of a kind as it is. One
// to NUMERIC turns text into numbers where it can.
var sqliteKeeps = map[codec.Kind][]string{
	codec.KindText: {"text"}, codec.KindInt: {"integer"}, codec.KindFloat: {"real"}, codec.KindBytes: {"blob"},
	codec.KindBool: {"integer", "numeric"},
}

// SQLiteCasts returns an error if one of the casts may change a value of a kind on SQLite.
func SQLiteCasts(kind codec.Kind, casts []Cast) *Error {
	for _, c := range casts {
		if !slices.Contains(sqliteKeeps[kind], sqliteAffinity(c.Name)) {
			return changes(c)
		}
	}
	return nil
}

// AsSQLite is As for SQLite. What SQLite would keep as it is although it is not of the kind,
// such as text in a column of integers, is refused.
func (c Constant) AsSQLite(kind codec.Kind, suite codec.Suite) (any, *Error) {
	if err := SQLiteCasts(kind, c.Casts); err != nil {
		return nil, err
	}
	v := c.Value
	switch n := v.(type) {
	case Number:
		v = string(n)
		if kind == codec.KindInt {
			f, err := strconv.ParseFloat(string(n), 64)
			i, whole := roundFloat(f)
			if err != nil || !whole || float64(i) != f || f >= exactFloat || f <= -exactFloat {
				return nil, unfit(kind)
			}
			v = i
		} else if kind != codec.KindFloat && kind != codec.KindNumeric {
			return nil, unfit(kind)
		}
	case int64:
		switch kind {
		case codec.KindInt, codec.KindNumeric, codec.KindBool:
		case codec.KindFloat:
			v = float64(n)
		default:
			return nil, unfit(kind)
		}
	case bool:
		if kind != codec.KindBool {
			return nil, unfit(kind)
		}
	}
	if s, ok := v.(string); ok && kind == codec.KindFloat {
		w, err := parse(Float8, s)
		if err != nil {
			return nil, err
		}
		v = w.f
	}
	return sealable(v, kind, suite)
}
