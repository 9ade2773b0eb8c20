package sqlplan

import (
	"github.com/colseal/colseal"
	"github.com/colseal/colseal/schema"
)

// refusal makes a refusal. The constructors below call it, one for each class.
func (a *analysis) refusal(class colseal.Class, pos int, col *schema.Column, reason, hint string) *Refusal {
	if a.blanked == "" {
		a.blanked = a.p.Redact(a.file.Text)
	}
	r := &Refusal{Class: class, Query: a.blanked, Pos: pos, Reason: reason, Hint: hint, Undecided: a.unlistedInsert}
	if col != nil {
		r.Table, r.Column = col.TableName(), col.Name
	}
	return r
}

func (a *analysis) refuseUnsupported(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassUnsupported, pos, col, reason, hint)
}

func (a *analysis) refuseOperation(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassOperation, pos, col, reason, hint)
}

func (a *analysis) refuseMode(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassMode, pos, col, reason, hint)
}

func (a *analysis) refuseIdentity(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassIdentity, pos, col, reason, hint)
}

func (a *analysis) refusePlaintext(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassPlaintext, pos, col, reason, hint)
}

func (a *analysis) refuseName(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassName, pos, col, reason, hint)
}

// refuseUnknown refuses a name of which the text alone does not tell what it stands for.
// Without a catalog the refusal is not certain: with one, the statement may work.
func (a *analysis) refuseUnknown(pos int, col *schema.Column, reason, hint string) *Refusal {
	r := a.refusal(colseal.ClassName, pos, col, reason, hint)
	r.Undecided = a.env.Catalog == nil
	return r
}

func (a *analysis) refuseStorage(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassStorage, pos, col, reason, hint)
}

func (a *analysis) refuseSession(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassSession, pos, col, reason, hint)
}

func (a *analysis) refuseSeveral(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassSeveral, pos, col, reason, hint)
}

func (a *analysis) refuseRewriting(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassRewriting, pos, col, reason, hint)
}

func (a *analysis) refuseValue(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassValue, pos, col, reason, hint)
}

func (a *analysis) refuseSearchKeys(pos int, col *schema.Column, reason, hint string) *Refusal {
	return a.refusal(colseal.ClassSearchKeys, pos, col, reason, hint)
}

// refuseKeyring refuses what would change the keyring table. The text need not name a sealed
// table for that.
func (a *analysis) refuseKeyring(pos int) *Refusal {
	a.forbidden = true
	r := a.refusal(colseal.ClassKeyring, pos, nil, "the keyring table, without which no value can be read, would be changed or dropped",
		"change keys with colseal keys; what an administrator does to the table goes over a connection without Colseal")
	r.Table = a.p.keyring.Table
	return r
}
