package sqlplan

import "github.com/colseal/colseal/schema"

// A Class is the kind of a refusal, as a short stable word. There are few, so a class can be
// the label of a metric.
type Class string

// The classes of refusals.
const (
	ClassUnreadable  Class = "unreadable"  // the text cannot be parsed, or is too long, too deep or too costly to analyse
	ClassUnsupported Class = "unsupported" // a kind of statement or expression that is not analysed
	ClassOperation   Class = "operation"   // the database would have to compute with a sealed value
	ClassMode        Class = "mode"        // equality was asked of a randomized column
	ClassIdentity    Class = "identity"    // two columns of different identities, or roles, meet
	ClassPlaintext   Class = "plaintext"   // a value would be stored, or compared, unsealed
	ClassName        Class = "name"        // a name is unknown, ambiguous, or stands for unknown columns
	ClassStorage     Class = "storage"     // the table on the server does not fit the schema
	ClassSession     Class = "session"     // a setting or an earlier statement changes what the text means
	ClassSeveral     Class = "several"     // several statements in one text
	ClassRewriting   Class = "rewriting"   // the text cannot be edited as it is written
	ClassValue       Class = "value"       // a literal or cast whose value is not computed here, or does not fit
	ClassSearchKeys  Class = "search_keys" // not while two search keys are live
	ClassScope       Class = "scope"       // a scope is missing, or there is one where there must be none
	ClassWriteOnly   Class = "write_only"  // the program is write-only, and would open or compare a sealed value
	ClassKeyring     Class = "keyring"     // the keyring table would be changed
)

// refusal makes a refusal. The constructors below call it, one for each class.
func (a *analysis) refusal(class Class, pos int, col *schema.Column, reason, hint string) *Refusal {
	if a.blanked == "" {
		a.blanked = a.p.blank(a.file.Text)
	}
	r := &Refusal{Class: class, Query: a.blanked, Pos: pos, Reason: reason, Hint: hint, Undecided: a.unlistedInsert}
	if col != nil {
		r.Table, r.Column = col.TableName(), col.Name
	}
	return r
}

func (a *analysis) refuseUnsupported(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassUnsupported, pos, col, reason, hint)
}

func (a *analysis) refuseOperation(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassOperation, pos, col, reason, hint)
}

func (a *analysis) refuseMode(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassMode, pos, col, reason, hint)
}

func (a *analysis) refuseIdentity(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassIdentity, pos, col, reason, hint)
}

func (a *analysis) refusePlaintext(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassPlaintext, pos, col, reason, hint)
}

func (a *analysis) refuseName(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassName, pos, col, reason, hint)
}

// refuseUnknown refuses a name of which the text alone does not tell what it stands for.
// Without a catalog the refusal is not certain: with one, the statement may work.
func (a *analysis) refuseUnknown(pos int, col *schema.Column, reason, hint string) *Refusal {
	r := a.refusal(ClassName, pos, col, reason, hint)
	r.Undecided = a.env.Catalog == nil
	return r
}

func (a *analysis) refuseStorage(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassStorage, pos, col, reason, hint)
}

func (a *analysis) refuseSession(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassSession, pos, col, reason, hint)
}

func (a *analysis) refuseSeveral(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassSeveral, pos, col, reason, hint)
}

func (a *analysis) refuseRewriting(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassRewriting, pos, col, reason, hint)
}

func (a *analysis) refuseValue(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassValue, pos, col, reason, hint)
}

func (a *analysis) refuseSearchKeys(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(ClassSearchKeys, pos, col, reason, hint)
}

// refuseKeyring refuses what would change the keyring table. The text need not name a sealed
// table for that.
func (a *analysis) refuseKeyring(pos int) *Refusal {
	a.forbidden = true
	r := a.refusal(ClassKeyring, pos, nil, "the keyring table, without which no value can be read, would be changed or dropped",
		"change keys with colseal keys; what an administrator does to the table goes over a connection without Colseal")
	r.Table = a.p.keyring.Table
	return r
}
