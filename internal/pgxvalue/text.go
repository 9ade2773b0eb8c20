package pgxvalue

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
)

// TextValue is [Value] for a statement in one of the modes in which pgx does not know the types of
// the parameters (pgx.QueryExecModeExec and pgx.QueryExecModeSimpleProtocol): it sends the text
// that belongs to arg's own Go type, and the server reads that as the column's type.
func TextValue(m *pgtype.Map, kind codec.Kind, arg any) (any, error) {
	if ownText(kind, arg) {
		return arg, nil
	}
	wire, err := encodeText(m, arg)
	if err != nil {
		return nil, NewError(kind, arg, err)
	}
	if wire == nil {
		return nil, nil
	}
	return string(wire), nil
}

// TextElements is [Elements] for a statement in one of those modes.
func TextElements(m *pgtype.Map, kind codec.Kind, arg any) ([]any, error) {
	if s, ok := arg.(string); ok {
		return ParseArray(s)
	}
	wire, err := encodeText(m, arg)
	switch {
	case err != nil:
		return nil, NewError(kind, arg, err)
	case wire == nil:
		return nil, nil
	}
	return ParseArray(string(wire))
}

// encodeText does what pgx does with an argument in those modes. It returns panics as encode does.
func encodeText(m *pgtype.Map, arg any) (wire []byte, err error) {
	defer caught(&err)
	return m.Encode(0, pgtype.TextFormatCode, arg, make([]byte, 0, 64))
}

// ownText reports whether the server would read, of what pgx sends as text, just what codec makes
// of arg.
func ownText(kind codec.Kind, arg any) bool {
	switch t := arg.(type) {
	case nil, string:
		return true
	case []byte:
		return t != nil && kind == codec.KindBytes
	case int64, int, int32:
		return kind == codec.KindInt
	case float64:
		return kind == codec.KindFloat
	case bool:
		return kind == codec.KindBool
	case time.Time:
		return kind == codec.KindTime
	}
	return false
}
