package sqlplan

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// In the cells of a column with terms stand tokens of the beginnings, ends or members of its
// values, which the function colseal.terms1 takes out as a tsvector. A search for them becomes one
// for tokens:
//
//	name LIKE $1                becomes  (colseal.terms1(name) @@ $1::text::tsquery)
//	name NOT IN ($1, $2)        becomes  (NOT colseal.terms1(name) @@ ANY (ARRAY[$1::text::tsquery, $2::text::tsquery]))
//	$1 = ANY (tags)             becomes  ($1::text::tsquery @@ colseal.terms1(tags))
//	tags @> ARRAY[$1, $2]       becomes  (colseal.terms1(tags) @@ ($1::text::tsquery && $2::text::tsquery))
//
// What a pattern asks for is read from its value: 'ab%' is one token, and 'a_c' is refused before
// anything is sent. A query has the tokens under all live search keys, so that no copies are
// needed.
//
// SQLite has neither. There a token is looked for among the bytes of the cell, once per search key:
//
//	name GLOB $1                becomes  (instr(name, $1) > 0)
//	name NOT IN ($1, $2)        becomes  (NOT (instr(name, $1) > 0 OR instr(name, $2) > 0))

// TermsFunction is the function that yields the tokens in a cell.
const TermsFunction = "colseal.terms1"

// MatchForm is how a value is compared with a column's terms.
type MatchForm uint8

// The forms.
const (
	NoMatch       MatchForm = iota
	MatchEqual              // column = value
	MatchLike               // column LIKE value
	MatchILike              // column ILIKE value
	MatchStarts             // starts_with(column, value)
	MatchLeft               // left(column, N) = value
	MatchRight              // right(column, N) = value
	MatchMember             // value = ANY (column)
	MatchNoMember           // the same under an odd number of NOTs, where a NULL among the members counts as equal
	MatchAll                // column @> value
	MatchAny                // column && value
	MatchOneOf              // column @> or && an array with this member
	MatchGlob               // column GLOB value
)

// Match says what the value of a parameter or literal asks of a column's terms. The zero Match asks
// nothing.
type Match struct {
	Form          MatchForm
	Fold          bool   // the column is compared in lower case
	Lower         bool   // the value, without what stands around it, is taken in lower case
	Escape        rune   // of LIKE and ILIKE; 0: none
	N             int32  // of left and right
	Before, After string // constants around the value, of a pattern
	PerKey        bool   // SQLite: one token under one search key, and not a query for all
}

// Query reports whether what is sent is a tsquery.
func (u *Use) Query() bool { return u.Match.Form != NoMatch && !u.Match.PerKey }

// Kind returns what a value is given as.
func (u *Use) Kind() codec.Kind {
	switch kind := u.Column.Kind; {
	case u.Match.Form != MatchMember && u.Match.Form != MatchNoMember && u.Match.Form != MatchOneOf:
		return kind
	case kind == schema.KindIntArray:
		return schema.KindInt
	default:
		return schema.KindText
	}
}

// A Term is one that a value has a token of.
type Term struct {
	Type   codec.TokenType
	Length int // of a prefix or suffix, in code points
	Text   string
}

// Terms is what a cell is asked for: all or one of the terms, or nothing in particular.
type Terms struct {
	Terms []Term
	All   bool // all terms; with none of them, every cell
}

// MaxTerms is how many terms a predicate can ask for. The database looks at all of them for each
// row that it finds.
const MaxTerms = 256

// NULL = ANY (c) is NULL, but false of an array without members, which under NOT is another thing.
const (
	nullMember     = "NULL is looked for among the members of a column under NOT, where an array without members would be found"
	nullMemberHint = "leave the condition out when the value is NULL"
)

// Null returns what is asked for where the value is NULL; ok is false if that makes the comparison
// NULL.
func (u *Use) Null() (q Terms, ok bool, err error) {
	switch u.Match.Form {
	case MatchOneOf: // NULL among the members of an array is equal to none
		return Terms{}, true, nil
	case MatchNoMember:
		return Terms{}, false, u.refuse(nullMember, nullMemberHint)
	}
	return Terms{}, false, nil
}

// TermsOf returns what the encoding of a value asks for. The error is a refusal.
func (u *Use) TermsOf(encoding []byte) (Terms, error) {
	m, t := &u.Match, u.Column.Terms
	text := string(encoding)
	if m.Lower {
		text = codec.Fold(text)
	}
	switch m.Form {
	case MatchLike, MatchILike:
		return u.pattern(m.Before + text + m.After)
	case MatchGlob:
		return u.glob(m.Before + text + m.After)
	case MatchStarts:
		return u.part(codec.TokenPrefix, t.Prefix, text)
	case MatchLeft, MatchRight:
		switch n := utf8.RuneCountInString(text); {
		case n > int(m.N):
			return Terms{}, nil
		case n < int(m.N):
			return u.equal(text)
		case m.Form == MatchLeft:
			return u.part(codec.TokenPrefix, t.Prefix, text)
		default:
			return u.part(codec.TokenSuffix, t.Suffix, text)
		}
	case MatchMember, MatchNoMember, MatchOneOf:
		if u.Kind() == schema.KindInt {
			v, err := codec.DecodeValue(schema.KindInt, encoding)
			if err != nil {
				return Terms{}, err
			}
			text = strconv.FormatInt(v.(int64), 10)
		}
		q := Terms{Terms: []Term{{codec.TokenMember, 0, text}}}
		if m.Form == MatchNoMember {
			q.Terms = append(q.Terms, Term{codec.TokenNull, 0, ""})
		}
		return q, nil
	case MatchAll, MatchAny:
		return u.members(encoding)
	}
	return u.equal(text)
}

// members asks for the members of an array.
func (u *Use) members(encoding []byte) (Terms, error) {
	q := Terms{All: u.Match.Form == MatchAll}
	null := false
	if err := codec.EachMember(string(encoding), func(typ codec.TokenType, member string) {
		null = null || typ == codec.TokenNull
		if typ == codec.TokenMember {
			q.Terms = append(q.Terms, Term{typ, 0, member})
		}
	}); err != nil {
		return Terms{}, err
	}
	if null && q.All { // NULL is contained in no array
		return Terms{}, nil
	}
	if len(q.Terms) > MaxTerms {
		return Terms{}, u.TooMany()
	}
	return q, nil
}

// TooMany returns the refusal of a search for too many values.
func (u *Use) TooMany() error {
	return u.refuse("more than "+strconv.Itoa(MaxTerms)+" values are looked for in one condition", "ask for fewer at a time")
}

// equal asks for cells of an equal value.
func (u *Use) equal(text string) (Terms, error) {
	switch m := &u.Match; {
	case m.Fold && codec.Fold(text) != text:
		return Terms{}, nil
	case m.Fold:
		return Terms{Terms: []Term{{codec.TokenFold, 0, text}}}, nil
	case !u.Column.Terms.Equal:
		return Terms{}, u.refuse("the whole value is asked for", "tag the column equal, or ask for its beginning or end")
	}
	return Terms{Terms: []Term{{codec.TokenEqual, 0, text}}}, nil
}

// part asks for cells of values that begin, or end, with a text.
func (u *Use) part(typ codec.TokenType, l codec.Lengths, text string) (Terms, error) {
	n := utf8.RuneCountInString(text)
	switch {
	case n == 0:
		return Terms{All: true}, nil
	case u.Match.Fold && codec.Fold(text) != text:
		return Terms{}, nil
	case !l.Has(n):
		option, what := "prefix", "a beginning"
		if typ == codec.TokenSuffix {
			option, what = "suffix", "an end"
		}
		has := "no " + option + "="
		wanted := codec.Lengths{Min: n, Max: n}
		if l.Max > 0 {
			has = option + "=" + l.String()
			wanted = codec.Lengths{Min: min(n, l.Min), Max: max(n, l.Max)}
		}
		characters := " characters"
		if n == 1 {
			characters = " character"
		}
		return Terms{}, u.refuse(what+" of "+strconv.Itoa(n)+characters+" is asked for, and the column has "+has,
			"tag the column "+option+"="+wanted.String()+", or ask for "+what+" of another length")
	}
	if u.Match.Fold {
		typ &^= 0x20
	}
	return Terms{Terms: []Term{{typ, n, text}}}, nil
}

// pattern reads the pattern of a LIKE.
func (u *Use) pattern(pattern string) (Terms, error) {
	const hint = "write a text with % at its beginning or end, or filter in the program"
	if !utf8.ValidString(pattern) {
		return Terms{}, u.refuse("a pattern that is not valid UTF-8", hint)
	}
	var literal strings.Builder
	first, last, escaped := false, false, false // % at the beginning, and at the end
	for i, r := range pattern {
		switch {
		case escaped:
			escaped = false
		case u.Match.Escape != 0 && r == u.Match.Escape:
			escaped = true
			continue
		case r == '%' && i == 0:
			first = true
			continue
		case r == '%':
			last = true
			continue
		case r == '_':
			return Terms{}, u.refuse("a pattern with _, which stands for any character", hint)
		}
		if last && literal.Len() == 0 {
			first, last = true, false // %%ab
		}
		if last {
			return Terms{}, u.refuse("a pattern with % inside", hint)
		}
		literal.WriteRune(r)
	}
	if escaped {
		return Terms{}, u.refuse("a pattern that ends in its escape character", "the server would refuse it, too")
	}
	text := literal.String()
	if u.Match.Form == MatchILike {
		text = codec.Fold(text)
	}
	return u.ends(first, last, text, "%")
}

// glob reads the pattern of a GLOB.
func (u *Use) glob(pattern string) (Terms, error) {
	text := strings.TrimLeft(pattern, "*")
	first := text != pattern
	rest := strings.TrimRight(text, "*")
	last := rest != text
	if strings.ContainsAny(rest, "*?[") {
		return Terms{}, u.refuse("a pattern with ? or [, or * inside", "write a text with * at its beginning or end, or filter in the program")
	}
	return u.ends(first, last, rest, "*")
}

// ends asks for texts that end in text if first is set, that begin with it if last is set, or else
// that equal it.
func (u *Use) ends(first, last bool, text, wildcard string) (Terms, error) {
	switch t := u.Column.Terms; {
	case text == "" && (first || last):
		return Terms{All: true}, nil
	case first && last:
		return Terms{}, u.refuse("a pattern with "+wildcard+" on both sides", "write a text with "+wildcard+" at its beginning or end, or filter in the program")
	case first:
		return u.part(codec.TokenSuffix, t.Suffix, text)
	case last:
		return u.part(codec.TokenPrefix, t.Prefix, text)
	}
	return u.equal(text)
}

// refuse refuses a value, of which it says nothing.
func (u *Use) refuse(reason, hint string) error {
	return &Refusal{Class: colseal.ClassValue, Table: u.Column.TableName(), Column: u.Column.Name, Reason: "this search cannot be answered: " + reason, Hint: hint}
}

// A matching is a search for terms in the text.
type matching struct {
	expr          sqlparse.Expr // all of it
	column        *sqlparse.Column
	col           *schema.Column
	values        []sqlparse.Expr // in the order of the text
	open, between string          // before the values, and between them
	close         string          // behind them
	not           bool
	second        *second // that it stands in
	copies        *search // SQLite: it is written once per search key
}

// A place is where the truth of an expression goes.
type place struct {
	odd   bool // under an odd number of NOTs
	shown bool // false and NULL are told apart
}

// A searched is a column with terms as it stands in a search.
type searched struct {
	column *sqlparse.Column
	t      *term
	col    *schema.Column
	fold   bool
	part   string // left or right
	n      int64
}

// searched returns the column with terms that an expression is, or is made of by lower, left and
// right. It returns nil if there is none.
func (a *analysis) searched(e sqlparse.Expr, sc *scope) (*searched, error) {
	if !a.p.terms || a.depth > 0 || a.rows != nil {
		return nil, nil
	}
	s := &searched{}
	length := true
	for s.column == nil {
		switch x := e.(type) {
		case *sqlparse.Column:
			if x.Star {
				return nil, nil
			}
			s.column = x
		case *sqlparse.Call:
			switch {
			case a.p.dialect != dialect.Postgres || !plainCall(x):
				return nil, nil
			case x.Name == "lower" && len(x.Args) == 1:
				s.fold = true
			case (x.Name == "left" || x.Name == "right") && len(x.Args) == 2 && s.part == "":
				s.part = x.Name
				if c, ok := x.Args[1].(*sqlparse.Const); ok {
					s.n, length = c.Value.(int64)
				} else {
					length = false
				}
			default:
				return nil, nil
			}
			e = x.Args[0]
		default:
			return nil, nil
		}
	}
	t, err := a.column(s.column, sc)
	if err != nil || t == nil {
		return nil, err
	}
	r := t.root()
	if r.state != sealed || r.pending > 0 || r.array || r.folded || !r.cols[0].col.Suite().HasTerms() || r.identities() > 1 {
		return nil, nil
	}
	s.t, s.col = r, r.cols[0].col
	switch {
	case !length || s.n < 0 || s.n > codec.MaxTokens:
		return nil, a.refuseOperation(e.Pos(), s.col, "the function "+s.part+" cannot work on a sealed column with a length that is not a number in the text, or negative", "write the number, or LIKE")
	case s.fold && !s.col.Terms.Fold:
		return nil, a.refuseOperation(e.Pos(), s.col, "a search in lower case needs a column with fold", "tag the column fold")
	}
	for _, from := range r.cols {
		switch from.storage {
		case missing:
			return nil, a.refuseMissing(e.Pos(), from.col)
		case dbcatalog.StorageText:
			return nil, a.refuseStorage(e.Pos(), from.col, "a search by terms needs cells that are stored as bytes", "make the column bytea")
		}
	}
	return s, nil
}

// plainCall reports whether a call has nothing but arguments.
func plainCall(c *sqlparse.Call) bool {
	return builtin(c) && !c.ArgNames && !c.Variadic && !c.Within && !c.Distinct && !c.Star && c.Filter == nil && c.Over == nil && len(c.OrderBy) == 0
}

// searchTerms analyses an expression that asks for terms of a column; done is false for any other.
func (a *analysis) searchTerms(e sqlparse.Expr, sc *scope, in place) (done bool, err error) {
	switch e := e.(type) {
	case *sqlparse.Match:
		return a.searchMatch(e, sc)
	case *sqlparse.Call:
		if e.Name != "starts_with" || len(e.Args) != 2 || !plainCall(e) || in.shown {
			return false, nil
		}
		s, err := a.searched(e.Args[0], sc)
		if s == nil || s.part != "" {
			return err != nil, err
		}
		return true, a.searchFor(e, s, Match{Form: MatchStarts}, "the function starts_with", false, e.Args[1])
	case *sqlparse.Compare:
		return a.searchCompare(e, sc, in)
	case *sqlparse.In:
		if e.Query != nil || len(e.List) == 0 {
			return false, nil
		}
		s, err := a.searched(e.Left, sc)
		if s == nil || !s.compares() {
			return err != nil, err
		}
		if len(e.List) > MaxTerms {
			return true, a.refuseValue(e.Pos(), s.col, "more than "+strconv.Itoa(MaxTerms)+" values are looked for in one condition", "ask for fewer at a time")
		}
		what := "IN"
		if e.Not {
			what = "NOT IN"
		}
		return true, a.searchFor(e, s, s.equality(), what, e.Not, e.List...)
	}
	return false, nil
}

// compares reports whether = of the column, or of a part of it, searches for terms. Otherwise it
// searches for cells.
func (s *searched) compares() bool {
	return s.part != "" || !s.fold && s.col.Mode == schema.ModeRandomized && s.col.Terms.Equal
}

// equality returns the search that = is.
func (s *searched) equality() Match {
	switch s.part {
	case "left":
		return Match{Form: MatchLeft}
	case "right":
		return Match{Form: MatchRight}
	}
	return Match{Form: MatchEqual}
}

func (a *analysis) searchCompare(c *sqlparse.Compare, sc *scope, in place) (bool, error) {
	if c.Op != sqlparse.Equal && c.Op != sqlparse.NotEqual {
		return false, nil
	}
	negated := c.Op == sqlparse.NotEqual
	if c.Quant == sqlparse.NoQuant {
		column, value := c.Left, c.Right
		s, err := a.searched(column, sc)
		if s == nil && err == nil {
			column, value = value, column
			s, err = a.searched(column, sc)
		}
		if s == nil || !s.compares() {
			return err != nil, err
		}
		if !isSearchValue(value) && s.part == "" {
			return false, nil // of two columns
		}
		what := "="
		if negated {
			what = "<>"
		}
		return true, a.searchFor(c, s, s.equality(), what, negated, value)
	}
	what := [...]string{"=", "<>"}[c.Op] + [...]string{"", " ANY", " ALL"}[c.Quant]
	if s, err := a.searched(c.Right, sc); err != nil || s != nil && s.part == "" && !s.fold && s.col.Terms.Elements {
		if err != nil {
			return true, err
		}
		if negated != (c.Quant == sqlparse.All) {
			return true, a.refuseOperation(c.Pos(), s.col, what+" over the members of a sealed column", "write $1 = ANY (column), or $1 <> ALL (column)")
		}
		if in.shown {
			return true, a.refuseOperation(c.Pos(), s.col, what+" over the members of a sealed column outside of a condition: NULL among them cannot be told from no such member",
				"write it in WHERE, or column @> ARRAY[$1]")
		}
		m := Match{Form: MatchMember}
		if in.odd != negated {
			m.Form = MatchNoMember
		}
		return true, a.searchFor(c, s, m, what, negated, c.Left)
	}
	s, err := a.searched(c.Left, sc)
	if s == nil || !s.compares() {
		return err != nil, err
	}
	if array, ok := c.Right.(*sqlparse.Array); ok && len(array.Elements) > 0 && c.Quant == sqlparse.Any && !negated || ok && len(array.Elements) > 0 && c.Quant == sqlparse.All && negated {
		return true, a.searchFor(c, s, s.equality(), what, negated, array.Elements...)
	}
	// = ANY and <> ALL are a search for one of the values and its negation; = ALL and <> ANY
	// likewise for all.
	quant := "ANY"
	if negated != (c.Quant == sqlparse.All) {
		quant = "ALL"
	}
	return true, a.searchArray(c, s, s.equality(), what, quant, negated, c.Right)
}

func (a *analysis) searchMatch(e *sqlparse.Match, sc *scope) (bool, error) {
	column, value := e.Left, e.Right
	m := Match{Form: MatchLike, Escape: '\\'}
	switch e.Op {
	case "~~":
	case "~~*":
		m.Form, m.Fold = MatchILike, true
	case "^@":
		m = Match{Form: MatchStarts}
	case "@>":
		m = Match{Form: MatchAll}
	case "<@":
		m, column, value = Match{Form: MatchAll}, e.Right, e.Left
	case "GLOB":
		m = Match{Form: MatchGlob}
	case "&&":
		m = Match{Form: MatchAny}
		if _, ok := e.Left.(*sqlparse.Column); !ok {
			column, value = e.Right, e.Left
		}
	default:
		return false, nil
	}
	s, err := a.searched(column, sc)
	if s == nil || s.part != "" {
		return err != nil, err
	}
	t := s.col.Terms
	switch {
	case m.Form == MatchAll || m.Form == MatchAny:
		if !t.Elements || s.fold {
			return false, nil
		}
		return true, a.searchMembers(e, s, m, value)
	case s.col.Kind != schema.KindText:
		return false, nil
	case m.Fold && !t.Fold:
		return true, a.refuseOperation(e.Pos(), s.col, e.What+" needs a column with fold", "tag the column fold, and prefix= or suffix=")
	case t.Prefix.Max == 0 && t.Suffix.Max == 0 && !t.Equal && !t.Fold:
		return false, nil
	}
	if e.Escape != nil {
		k, ok := e.Escape.(*sqlparse.Const)
		text, isText := "", false
		if ok {
			text, isText = k.Value.(string)
		}
		if !isText || utf8.RuneCountInString(text) > 1 {
			return true, a.refuseOperation(e.Pos(), s.col, e.What+" with an escape that is not one character in the text", "write the character, or leave ESCAPE out")
		}
		m.Escape = 0
		for _, r := range text {
			m.Escape = r
		}
	}
	return true, a.searchFor(e, s, m, e.What, e.Not, value)
}

// searchMembers analyses column @> and && an array.
func (a *analysis) searchMembers(e *sqlparse.Match, s *searched, m Match, value sqlparse.Expr) error {
	array := value
	for {
		c, ok := array.(*sqlparse.Cast)
		if !ok || !c.Type.Array || c.Type.Modified {
			break
		}
		array = c.Arg
	}
	list, ok := array.(*sqlparse.Array)
	if !ok {
		return a.searchFor(e, s, m, e.What, false, value)
	}
	between := " OPERATOR(pg_catalog.&&) "
	if m.Form == MatchAny {
		between = " OPERATOR(pg_catalog.||) "
	}
	if len(list.Elements) == 0 || len(list.Elements) > MaxTerms {
		return a.refuseValue(e.Pos(), s.col, e.What+" with no members, or more than "+strconv.Itoa(MaxTerms), "give the array as one parameter")
	}
	x := &matching{expr: e, column: s.column, col: s.col, values: list.Elements, open: "(", between: between, close: ")", second: a.second}
	for _, v := range list.Elements {
		if err := a.searchValue(s, Match{Form: MatchOneOf}, e.What, v, false); err != nil {
			return err
		}
	}
	a.matched = append(a.matched, x)
	return nil
}

// searchFor notes a search for values: for one of them, if there are several.
func (a *analysis) searchFor(e sqlparse.Expr, s *searched, m Match, what string, not bool, values ...sqlparse.Expr) error {
	if s.fold {
		m.Fold = true
	}
	m.N = int32(s.n)
	x := &matching{expr: e, column: s.column, col: s.col, values: values, not: not, second: a.second}
	if m.PerKey = a.p.dialect == dialect.SQLite; m.PerKey && a.env.SearchKeys > 1 {
		x.copies = &search{expr: e, negated: not}
		x.copies.addPair(sides{left: side{expr: s.column}})
		a.copied = append(a.copied, x.copies)
	}
	if len(values) > 1 {
		x.open, x.between, x.close = "ANY (ARRAY[", ", ", "])"
	}
	for _, v := range values {
		if err := a.searchValue(s, m, what, v, false); err != nil {
			return err
		}
	}
	a.matched = append(a.matched, x)
	return nil
}

// searchArray notes a search for the members of an array that is one value.
func (a *analysis) searchArray(e sqlparse.Expr, s *searched, m Match, what, quant string, not bool, value sqlparse.Expr) error {
	if s.fold {
		m.Fold = true
	}
	m.N = int32(s.n)
	a.matched = append(a.matched, &matching{expr: e, column: s.column, col: s.col, values: []sqlparse.Expr{value}, open: quant + " (", close: ")", not: not, second: a.second})
	return a.searchValue(s, m, what, value, true)
}

// isSearchValue reports whether searchValue takes an expression.
func isSearchValue(e sqlparse.Expr) bool {
	for {
		switch x := e.(type) {
		case *sqlparse.Param, *sqlparse.Const:
			return true
		case *sqlparse.Cast:
			e = x.Arg
		case *sqlparse.Call:
			if x.Name != "lower" || !plainCall(x) || len(x.Args) != 1 {
				return false
			}
			e = x.Args[0]
		case *sqlparse.Opaque:
			return x.What == "the operator ||"
		default:
			return false
		}
	}
}

// searchValue records the value of a search: a parameter or literal, with casts, lower() around it,
// and constants at its ends if it is a pattern.
func (a *analysis) searchValue(s *searched, m Match, what string, value sqlparse.Expr, array bool) error {
	v := &slot{t: newSealed(s.t.cols[0]), array: array, from: value}
	e := value
	refused := a.refuseOperation(value.Pos(), s.col, what+" compares a sealed column with something else than a parameter or literal",
		"compare the column itself with a parameter: compute the value in the program")
	for v.param == nil && v.lit == nil {
		switch x := e.(type) {
		case *sqlparse.Param:
			v.param = x
		case *sqlparse.Const:
			if x.Value == nil {
				v.match, v.second = m, a.second
				a.noSlots = append(a.noSlots, v)
				if m.Form == MatchNoMember {
					return a.refuseValue(value.Pos(), s.col, nullMember, nullMemberHint)
				}
				return nil
			}
			v.lit = x
		case *sqlparse.Cast:
			if x.Type.Array != array && s.col.Kind != schema.KindTextArray && s.col.Kind != schema.KindIntArray {
				return refused
			}
			v.casts = append(v.casts, castOf(&x.Type))
			e = x.Arg
		case *sqlparse.Call:
			text := (&Use{Column: s.col, Match: m}).Kind() == schema.KindText
			if !isSearchValue(x) || array || !text || a.p.dialect != dialect.Postgres { // that of SQLite is another
				return refused
			}
			m.Lower = true
			e = x.Args[0]
		case *sqlparse.Opaque:
			if x.What != "the operator ||" || array || m.Form != MatchLike && m.Form != MatchILike && m.Form != MatchGlob || m.Before+m.After != "" {
				return refused
			}
			var ok bool
			if e, m.Before, m.After, ok = concatenated(x.Args); !ok {
				return refused
			}
			if m.Lower { // else they stand around lower()
				m.Before, m.After = codec.Fold(m.Before), codec.Fold(m.After)
			}
		default:
			return refused
		}
	}
	slices.Reverse(v.casts) // the innermost first
	v.match = m
	a.slot(v)
	return nil
}

// concatenated returns the one operand that is no constant, and the constants before and behind it.
func concatenated(args []sqlparse.Expr) (value sqlparse.Expr, before, after string, ok bool) {
	for _, arg := range args {
		c, isConst := arg.(*sqlparse.Const)
		text, isText := "", false
		if isConst {
			text, isText = c.Value.(string)
		}
		switch {
		case isText && value == nil:
			before += text
		case isText:
			after += text
		case isConst || value != nil:
			return nil, "", "", false
		default:
			value = arg
		}
	}
	return value, before, after, value != nil
}

// matchEdits rewrites the searches for terms.
func (e *emission) matchEdits() error {
	for _, m := range e.matched {
		failed := e.refuseRewriting(m.expr.Pos(), m.col, "the ends of this comparison cannot be found", "write it with the column on its left, without parentheses inside")
		whole, ok := e.spanOf(m.expr)
		column, cok := e.spanOf(m.column)
		if !ok || !cok {
			return failed
		}
		spans := make([]span, len(m.values))
		for i, v := range m.values {
			if spans[i], ok = e.spanOf(v); !ok || i > 0 && spans[i].start < spans[i-1].end {
				return failed
			}
		}
		open := "("
		if m.not {
			open += "NOT "
		}
		if e.p.dialect == dialect.SQLite {
			if !e.instr(m, whole, column, spans) {
				return failed
			}
			continue
		}
		first, last := spans[0], spans[len(spans)-1]
		put := func(start, end int, text string) {
			ok = ok && start <= end
			e.edits = append(e.edits, edit{start: start, end: end, text: text, second: m.second})
		}
		if column.end <= first.start {
			put(whole.start, column.start, open+TermsFunction+"(")
			put(column.end, first.start, ") OPERATOR(pg_catalog.@@) "+m.open)
			put(last.end, whole.end, m.close+")")
		} else {
			put(whole.start, first.start, open+m.open)
			put(last.end, column.start, m.close+" OPERATOR(pg_catalog.@@) "+TermsFunction+"(")
			put(column.end, whole.end, "))")
		}
		for i := 1; i < len(spans); i++ {
			put(spans[i-1].end, spans[i].start, m.between)
		}
		if !ok {
			return failed
		}
	}
	if e.p.dialect == dialect.SQLite {
		return nil // a NULL is one there
	}
	for _, s := range e.noSlots {
		at, ok := e.spanOf(s.from)
		if !ok {
			return e.refuseRewriting(s.from.Pos(), nil, "the end of this NULL cannot be found", "use a parameter")
		}
		text := "NULL::" + queryType
		if s.array {
			text += "[]"
		} else if s.match.Form == MatchOneOf {
			text = "'" + codec.NoToken + "'::" + queryType
		}
		e.edits = append(e.edits, edit{start: at.start, end: at.end, text: text, second: s.second})
	}
	return nil
}

// instr writes a search for SQLite: (instr(column, token) > 0 OR …). Where the value stands first,
// each copy begins with what is put in before it.
func (e *emission) instr(m *matching, whole, column span, values []span) bool {
	open, end := "(", ")"
	if m.not {
		open, end = "(NOT (", "))"
	}
	call := "instr(" + e.taken(column, m.second) + ", "
	put := func(start, end int, text string) bool {
		e.edits = append(e.edits, edit{start: start, end: end, text: text, second: m.second})
		return start <= end
	}
	open += call
	from := whole.start
	if r := slices.IndexFunc(e.regions, func(r *region) bool { return r.search == m.copies }); r >= 0 && from == values[0].start {
		e.regions[r].open += open
		e.regions[r].joiner += open
		from, open = values[0].end, ") > 0 OR "+call
		values = values[1:]
	}
	for _, v := range values {
		if !put(from, v.start, open) {
			return false
		}
		from, open = v.end, ") > 0 OR "+call
	}
	return put(from, whole.end, ") > 0"+end)
}

// taken returns what a part of the text becomes by its edits, which are no longer made there: the part is written elsewhere.
func (e *emission) taken(part span, in *second) string {
	inside := func(d edit) bool { return d.second == in && d.start >= part.start && d.end <= part.end }
	var edits []edit
	for _, d := range e.edits {
		if inside(d) {
			edits = append(edits, d)
		}
	}
	e.edits = slices.DeleteFunc(e.edits, inside)
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	at := part.start
	for _, d := range edits {
		b.WriteString(e.file.Text[at:d.start] + d.text)
		at = d.end
	}
	return b.String() + e.file.Text[at:part.end]
}

// queryType is the type of what is asked for.
const queryType = "pg_catalog.tsquery"

// QueryCast returns what stands behind a parameter or literal of a search, which is given as text.
func (u *Use) QueryCast() string {
	if u.Array {
		return "::pg_catalog.text[]::" + queryType + "[]"
	}
	return "::pg_catalog.text::" + queryType
}
