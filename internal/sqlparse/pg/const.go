package pg

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

var constFields = handles[ast.A_Const]("Val", "Isnull", "Location")

func (l *lowering) constant(c *ast.A_Const) sqlparse.Expr {
	constFields.check(l, c)
	out := &sqlparse.Const{At: l.at(c.Location)}
	switch v := c.Val.(type) {
	case nil:
		if !c.Isnull {
			l.unsupported("a constant without a value")
		}
	case *ast.A_Const_Ival:
		out.Value = int64(v.Ival.GetIval())
	case *ast.A_Const_Fval:
		out.Value = number(v.Fval.GetFval())
	case *ast.A_Const_Boolval:
		out.Value = v.Boolval.GetBoolval()
	case *ast.A_Const_Sval:
		out.Value = v.Sval.GetSval()
	case *ast.A_Const_Bsval:
		return &sqlparse.Opaque{At: out.At, What: "a bit string constant"}
	default:
		l.unsupported("a constant of the kind %T", v)
	}
	return out
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, sqlparse.Number:
		return true
	}
	return false
}

// number returns the value of a numeric constant that the parser keeps as text: a
// fraction, or an integer beyond int32, which may be hexadecimal, octal or binary
// and may hold underscores.
func number(s string) any {
	s = strings.ReplaceAll(s, "_", "")
	digits := strings.TrimPrefix(s, "-")
	base := 10
	if len(digits) > 1 && digits[0] == '0' {
		switch digits[1] | 0x20 {
		case 'x':
			base = 16
		case 'o':
			base = 8
		case 'b':
			base = 2
		}
	}
	if base == 10 {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		return sqlparse.Number(s)
	}
	n, ok := new(big.Int).SetString(digits[2:], base)
	if !ok {
		return sqlparse.Number(s)
	}
	if len(digits) < len(s) {
		n.Neg(n)
	}
	if n.IsInt64() {
		return n.Int64()
	}
	return sqlparse.Number(n.String())
}
