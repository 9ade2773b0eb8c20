package pg

import (
	"strings"

	"github.com/colseal/colseal/internal/sqlparse"
)

// nesting measures how deep the parser would recurse at each point of a text, and
// how often it would read a token again.
//
// The parser recurses on parentheses, brackets and CASE; on prefix operators, NOT
// among them, which reach up to the next AND, OR or comma; and on the right side of
// a JOIN whose ON is still to come. Everything else it reads in loops.
type nesting struct {
	limit  int
	frames []frame // one per open parenthesis, bracket or CASE, and one for the text
	depth  int     // of everything that is open
	reread int     // tokens read again so far

	run int // how many "(" stand directly before this point
	// What stands directly before this point: an operator, a dot, AS, DISTINCT, or
	// the name of a function with two forms.
	afterOp, afterDot, afterAs, afterDistinct, afterTwoForms bool
	// flat: CROSS or NATURAL announced a JOIN without ON.
	flat bool
}

// frame is what is open inside one pair of parentheses, or one CASE.
type frame struct {
	isCase                    bool
	prefixes, joins, betweens int
	retries                   int // how often the parser may read this part
}

func (n *nesting) top() *frame { return &n.frames[len(n.frames)-1] }

// deepen counts one more level, and reports when it is one too many.
func (n *nesting) deepen(pos int) *sqlparse.Error {
	n.depth++
	if n.depth > n.limit {
		return &sqlparse.Error{Pos: pos, Reason: "the SQL text is nested deeper than the limit"}
	}
	return nil
}

// count adds one token to what the parser reads again.
func (n *nesting) count(pos int) *sqlparse.Error {
	n.reread += n.top().retries - 1
	if n.reread > maxRetries {
		return &sqlparse.Error{Pos: pos, Reason: "the SQL text nests doubled parentheses or substring calls deeper than the limit"}
	}
	return nil
}

// other ends what only holds directly before a token.
func (n *nesting) other() {
	n.run = 0
	n.afterOp, n.afterDot, n.afterAs, n.afterDistinct, n.afterTwoForms = false, false, false, false, false
}

// operand passes a constant, a parameter or a quoted name.
func (n *nesting) operand() { n.other() }

// dot passes a dot: the word after it is a name.
func (n *nesting) dot() {
	n.other()
	n.afterDot = true
}

// separate passes a comma or semicolon: what was a chain is over.
func (n *nesting) separate() {
	n.other()
	n.endPrefixes()
	n.depth -= n.top().joins
	n.top().joins = 0
}

func (n *nesting) endPrefixes() {
	n.depth -= n.top().prefixes
	n.top().prefixes = 0
}

func (n *nesting) open(pos int, paren bool) *sqlparse.Error {
	run, f := 1, frame{retries: n.top().retries}
	if paren {
		run = n.run + 1
	}
	if n.afterTwoForms {
		f.retries = min(2*f.retries, maxRetries)
	}
	n.other()
	if paren {
		n.run = run
	}
	n.frames = append(n.frames, f)
	if err := n.count(pos); err != nil {
		return err
	}
	return n.deepen(pos)
}

// close passes a closing parenthesis or bracket. What is open inside it is over.
func (n *nesting) close() {
	n.other()
	for len(n.frames) > 1 {
		if wasCase := n.pop(); !wasCase {
			return
		}
	}
}

// pop ends the innermost frame.
func (n *nesting) pop() (wasCase bool) {
	f := n.top()
	wasCase = f.isCase
	n.depth -= 1 + f.prefixes + f.joins
	n.frames = n.frames[:len(n.frames)-1]
	return wasCase
}

// operator passes an operator; directly after another one it is a prefix.
func (n *nesting) operator(pos int) *sqlparse.Error {
	prefix := n.afterOp
	n.other()
	n.afterOp = true
	if prefix {
		n.top().prefixes++
		return n.deepen(pos)
	}
	return n.count(pos)
}

// word passes an identifier or keyword.
func (n *nesting) word(pos int, w string) *sqlparse.Error {
	run, name, distinct := n.run, n.afterDot || n.afterAs, n.afterDistinct
	n.other()
	var upper [len("JSON_OBJECT")]byte // the longest of them
	if err := n.count(pos); err != nil || name || len(w) > len(upper) {
		return err
	}
	for i := range len(w) {
		upper[i] = w[i]
		if c := w[i]; c >= 'a' && c <= 'z' {
			upper[i] = c - ('a' - 'A')
		}
	}
	f := n.top()
	switch string(upper[:len(w)]) {
	case "AS":
		n.afterAs = true
	case "CASE":
		n.frames = append(n.frames, frame{isCase: true, retries: f.retries})
		return n.deepen(pos)
	case "END":
		if f.isCase {
			n.pop()
		}
	case "NOT", "OPERATOR":
		f.prefixes++
		return n.deepen(pos)
	case "BETWEEN":
		f.betweens++
	case "AND":
		if f.betweens > 0 {
			f.betweens--
		} else {
			n.endPrefixes()
		}
	case "DISTINCT":
		n.afterDistinct = true
	case "FROM":
		if !distinct { // not IS DISTINCT FROM
			n.endPrefixes()
		}
	case "OR", "WHERE", "WHEN", "THEN", "ELSE":
		n.endPrefixes()
	case "SELECT":
		n.endPrefixes()
		n.query(f, run)
	case "VALUES", "TABLE", "WITH":
		n.query(f, run)
	case "CROSS", "NATURAL":
		n.flat = true
	case "JOIN", "ON", "USING":
		return n.join(pos, f, strings.EqualFold(w, "JOIN"))
	case "SUBSTRING", "OVERLAY", "JSON_OBJECT":
		n.afterTwoForms = true
	}
	return nil
}

// query passes the first word of a query. In parentheses that open together, the
// parser tries each as the one that holds the query.
func (n *nesting) query(f *frame, run int) {
	if run > 1 {
		f.retries = min(f.retries*run, maxRetries)
	}
}

// join passes JOIN, or what ends the right side of one.
func (n *nesting) join(pos int, f *frame, opens bool) *sqlparse.Error {
	n.endPrefixes()
	switch {
	case opens && n.flat:
		n.flat = false
	case opens:
		f.joins++
		return n.deepen(pos)
	case f.joins > 0:
		f.joins--
		n.depth--
	}
	return nil
}
