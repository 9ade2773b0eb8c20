package sqlplan

import (
	"bytes"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// A comparison of a parameter with constants says nothing of a stored value, so the program
// can answer it, and has to where the parameter is sealed elsewhere: of
//
//	SET ssn = CASE WHEN $1 <> '' THEN $1 ELSE ssn END
//
// the server gets
//
//	SET ssn = CASE WHEN $2::bool <> false THEN $1 ELSE ssn END
//
// with the cell as $1 and the truth of the comparison as $2. The operator stays, and a boolean
// takes the place of each constant, so that the statement keeps its form and its labels.
// NULLIF($1, '') becomes NULLIF($1, NULL), with NULL or the cell as $1.

// A question is such a comparison.
type question struct {
	param  *slot
	consts []*slot // of the constants that are not NULL
	null   bool    // one of the constants is NULL
	op     string  // as if the parameter stood on the left
	nullIf bool
	of     *slot   // a sealed occurrence of the parameter: the program answers
	cells  bool    // the database compares cells
	second *second // that it stands in
}

// Ask is a question that the program answers about an argument.
type Ask struct {
	// Values are the deterministic encodings of the constants, and Null says that one
	// more is NULL.
	Values [][]byte
	Null   bool
	Op     string // = and <> compare with any of the values; <, <=, > and >= with the one there is
	NullIf bool   // NULL is sent in the place of an argument that is equal to one of the values

	inverse bool // the answer is sent negated
}

// IsNull reports whether NULL is to be sent in the place of an argument. It takes what codec
// seals, or nil for NULL.
func (u *Use) IsNull(arg any) (bool, error) {
	if u.Ask == nil || arg == nil {
		return arg == nil, nil
	}
	value, err := u.encode(arg)
	return u.Ask.equal(value), err
}

// Answer returns what to send for an argument that is compared: a bool, or nil for NULL. It
// takes what codec seals, or nil for NULL.
func (u *Use) Answer(arg any) (any, error) {
	if arg == nil {
		return nil, nil
	}
	value, err := u.encode(arg)
	if err != nil {
		return nil, err
	}
	q := u.Ask
	if q.Op == "=" || q.Op == "<>" {
		equal := q.equal(value)
		if !equal && q.Null {
			return nil, nil
		}
		return equal == (q.Op == "="), nil
	}
	if q.Null {
		return nil, nil
	}
	c := pgvalue.Compare(u.Column.Kind, value, q.Values[0])
	truth := c < 0 && q.Op[0] == '<' || c > 0 && q.Op[0] == '>' || c == 0 && len(q.Op) == 2
	return truth != q.inverse, nil
}

// encode returns the deterministic encoding of an argument.
func (u *Use) encode(arg any) ([]byte, error) {
	if err := u.Limit.Check(u.Column.Kind, arg); err != nil {
		return nil, err
	}
	return codec.AppendValue(nil, u.Column.Kind, codec.SuiteDeterministic, arg)
}

func (q *Ask) equal(value []byte) bool {
	return slices.ContainsFunc(q.Values, func(v []byte) bool { return bytes.Equal(v, value) })
}

// bare returns the parameter or constant that an expression is, without its casts; nil if it
// is none, or an array.
func bare(e sqlparse.Expr) (*sqlparse.Param, *sqlparse.Const) {
	for {
		switch x := e.(type) {
		case *sqlparse.Param:
			return x, nil
		case *sqlparse.Const:
			return nil, x
		case *sqlparse.Cast:
			if x.Type.Array {
				return nil, nil
			}
			e = x.Arg
		default:
			return nil, nil
		}
	}
}

// question notes the comparison of a parameter with constants; nil if it is none.
func (a *analysis) question(op string, param sqlparse.Expr, consts ...sqlparse.Expr) *question {
	if p, _ := bare(param); p == nil || len(consts) == 0 {
		return nil
	}
	for _, e := range consts {
		if _, c := bare(e); c == nil {
			return nil
		}
	}
	if a.hasRowType(param) || slices.ContainsFunc(consts, a.hasRowType) {
		return nil
	}
	q := &question{op: op}
	q.param = a.noteOperand(q, param)
	for _, e := range consts {
		if s := a.noteOperand(q, e); s.lit.Value != nil {
			q.consts = append(q.consts, s)
		} else {
			q.null = true
		}
	}
	a.questions = append(a.questions, q)
	return q
}

// noteOperand notes an operand of a question, with its casts.
func (a *analysis) noteOperand(q *question, e sqlparse.Expr) *slot {
	if c, ok := e.(*sqlparse.Cast); ok {
		s := a.noteOperand(q, c.Arg)
		s.casts = append(s.casts, castOf(&c.Type))
		a.casts = append(a.casts, &recast{cast: c, t: s.t, of: s})
		return s
	}
	s := &slot{t: newFree(), question: q}
	s.param, s.lit = bare(e)
	if s.param != nil || s.lit.Value != nil {
		a.slot(s)
	}
	return s
}

// mirrored are the operators for operands that change places.
var mirrored = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// asks notes the comparison of two expressions if it is a question.
func (a *analysis) asks(op string, left, right sqlparse.Expr) bool {
	if a.question(op, left, right) != nil {
		return true
	}
	return a.question(mirrored[op], right, left) != nil
}

// answer marks the questions about parameters that are sealed elsewhere.
func (a *analysis) answer(roles map[argument]*slot) error {
	kinds := map[argument]schema.Kind{}
	for _, s := range a.slots {
		if u := s.use(); u != nil && s.param != nil && !s.second.besidePlain() && len(a.questions) > 0 {
			if k, ok := kinds[argumentOf(s.param)]; ok && k != u.Column.Kind {
				kinds[argumentOf(s.param)] = 0
			} else {
				kinds[argumentOf(s.param)] = u.Column.Kind
			}
		}
	}
	for _, q := range a.questions {
		role := roles[argumentOf(q.param.param)]
		if role == nil || q.cells || q.second.besidePlain() || q.nullIf && q.param.t.root().state != sealed {
			continue
		}
		kind := kinds[argumentOf(q.param.param)]
		comparable := pgvalue.Comparable(kind)
		if q.op != "=" && q.op != "<>" {
			comparable = pgvalue.Ordered(kind)
		}
		if kind == 0 || !comparable {
			if err := a.goOn(a.refuseOperand(q.param, role, "the operator "+q.op)); err != nil {
				return err
			}
			continue
		}
		q.of = role
	}
	return nil
}

// compareCells makes a question about an array a comparison of cells.
func (a *analysis) compareCells(q *question) error {
	q.cells = true
	for _, s := range q.consts {
		t, err := a.unify(q.param.t, s.t, s.pos(), q.op)
		if err != nil {
			return err
		}
		a.checked = append(a.checked, &check{t: t, pos: s.pos(), what: q.op, need: equal, second: q.second})
	}
	return nil
}

// resolveQuestions computes what each question asks of its parameter, and what stands for the
// constants in the text.
func (e *emission) resolveQuestions() error {
	for _, q := range e.questions {
		if q.of == nil {
			continue
		}
		u := q.of.use()
		ask := &Ask{Op: q.op, Null: q.null, NullIf: q.nullIf, inverse: q.op == "<" || q.op == "<="}
		var err *pgvalue.Error
		if q.param.limit, err = e.limitOf(u, q.param.casts); err != nil {
			if err := e.goOn(e.refuseValue(q.param.pos(), u.Column, err.Reason, err.Hint)); err != nil {
				return err
			}
		}
		for _, s := range q.consts {
			if !q.nullIf && e.p.dialect == dialect.SQLite && !asItStands(s.lit.Value, u.Column.Kind) {
				return e.refuseOperand(q.param, q.of, "the operator "+q.op)
			}
			v, err := e.valueOf(s, u, nil)
			if err != nil {
				if err := e.goOn(e.refuseValue(s.pos(), u.Column, err.Reason, err.Hint)); err != nil {
					return err
				}
				continue
			}
			enc, bad := codec.AppendValue(nil, u.Column.Kind, codec.SuiteDeterministic, v)
			if bad != nil {
				return e.refuseValue(s.pos(), u.Column, "the literal does not fit the column's kind", "use a parameter")
			}
			ask.Values = append(ask.Values, enc)
			s.stands = e.constant(q)
		}
		q.param.ask = ask
	}
	return nil
}

// asItStands reports whether SQLite, which compares values of different types as unequal,
// compares a constant with values of a kind as such.
func asItStands(v any, kind schema.Kind) bool {
	switch v.(type) {
	case string:
		return kind == schema.KindText
	case bool:
		return kind == schema.KindBool
	}
	return kind == schema.KindInt || kind == schema.KindFloat || kind == schema.KindBool
}

// recastAnswer makes the casts of an operand of a question follow.
func (e *emission) recastAnswer(c *recast) error {
	if c.of == nil || c.of.question == nil || c.of.question.of == nil {
		return nil
	}
	switch q := c.of.question; {
	case q.nullIf:
		return e.retype(c, e.castName(q.of.use()))
	case e.p.dialect == dialect.SQLite:
		return e.retype(c, "INTEGER")
	}
	return e.retype(c, boolName)
}

// boolName is the type of an answer on PostgreSQL.
const boolName = "pg_catalog.bool"

// constant returns what stands for a constant of a question.
func (e *emission) constant(q *question) string {
	truth := q.op == "=" || q.op == "<" || q.op == ">="
	switch {
	case q.nullIf:
		return "NULL"
	case e.p.dialect == dialect.SQLite && truth:
		return "1"
	case e.p.dialect == dialect.SQLite:
		return "0"
	case truth:
		return "true"
	}
	return "false"
}
