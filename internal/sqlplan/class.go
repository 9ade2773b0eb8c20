package sqlplan

import "strings"

// The classes of refusals: what a program that counts them tells apart.
const (
	ClassUnreadable  = "unreadable"  // the text cannot be parsed, or is too long or too deep
	ClassUnsupported = "unsupported" // a kind of statement or expression that is not analysed
	ClassOperation   = "operation"   // the database would have to compute with a sealed value
	ClassMode        = "mode"        // equality was asked of a randomized column
	ClassIdentity    = "identity"    // two columns of different identities, or roles, meet
	ClassPlaintext   = "plaintext"   // a value would be stored, or compared, unsealed
	ClassName        = "name"        // a name is unknown, ambiguous, or stands for unknown columns
	ClassStorage     = "storage"     // the table on the server does not fit the schema
	ClassSession     = "session"     // a setting or an earlier statement changes what the text means
	ClassSeveral     = "several"     // several statements in one text
	ClassRewriting   = "rewriting"   // the text cannot be edited as it is written
	ClassSearchKeys  = "search_keys" // not while two search keys are live
	ClassOther       = "other"
)

// classes tells classes by parts of reasons; the first that is found decides.
var classes = []struct{ part, class string }{
	{"cannot be analysed", ClassUnreadable},
	{"two search keys", ClassSearchKeys},
	{"needs a deterministic column", ClassMode},
	{"different identities", ClassIdentity},
	{"for which of two sealed columns", ClassIdentity},
	{"single sealed value in one place", ClassIdentity},
	{"also an operand of", ClassIdentity},
	{"a sealed column meets", ClassPlaintext},
	{"unsealed", ClassPlaintext},
	{"written in plaintext", ClassPlaintext},
	{"SELECT INTO", ClassPlaintext},
	{"copied into a plain", ClassPlaintext},
	{"would put cells", ClassPlaintext},
	{"standard_conforming_strings", ClassSession},
	{"earlier statement", ClassSession},
	{"cannot hold a cell", ClassStorage},
	{"on the server has no such column", ClassStorage},
	{"has no table of this name", ClassStorage},
	{"the table does not have", ClassStorage},
	{"several statements", ClassSeveral},
	{"is not analysed", ClassUnsupported},
	{"is not expected", ClassUnsupported},
	{"is not supported", ClassUnsupported},
	{"does not support", ClassUnsupported},
	{"rewriter", ClassUnsupported},
	{"a cast", ClassOperation},
	{"cannot work on", ClassOperation},
	{"would keep", ClassOperation},
	{"of a sealed column: ", ClassOperation},
	{"whole row", ClassOperation},
	{"part of a sealed value", ClassOperation},
	{"array of arrays", ClassOperation},
	{"the literal", ClassRewriting},
	{"cut into tokens", ClassRewriting},
	{"cannot be found", ClassRewriting},
	{"retyped", ClassRewriting},
	{"rewritings", ClassRewriting},
	{"more parameters than", ClassRewriting},
	{"no column of this name", ClassName},
	{"ambiguous", ClassName},
	{"not known", ClassName},
	{"alias", ClassName},
	{"two tables of this name", ClassName},
	{"no table in this query", ClassName},
	{"before it is defined", ClassName},
	{"a column of this name", ClassName},
	{"values than columns", ClassName},
	{"rows of VALUES", ClassName},
	{"numbers of columns", ClassName},
}

// Class returns the kind of the refusal as a short stable word: one of the constants
// above. There are few, so it can be the label of a metric.
func (r *Refusal) Class() string {
	for _, c := range classes {
		if strings.Contains(r.Reason, c.part) {
			return c.class
		}
	}
	return ClassOther
}
