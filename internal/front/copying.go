package front

import (
	"context"
	"errors"
	"log/slog"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/sqlplan"
)

// Nothing is refused because of a column in schema.StageCopy. Where the companion cannot be
// written, because the value is not one of the column's kind or because there is no key, it becomes
// NULL, and that is logged and counted, as is a statement that will be refused in
// schema.StageSealed.

// Leave writes NULL to the companion of a column in schema.StageCopy whose value could not be
// collected because of err. For any other use it returns err.
func (v *Sealing) Leave(use *sqlplan.Use, err error) error {
	if err == nil {
		return nil // the usual case, which is inlined
	}
	return v.leaveOne(use, err)
}

func (v *Sealing) leaveOne(use *sqlplan.Use, err error) error {
	if !use.Copy || !v.leave(SealError(use.Column, "a value for the companion", err)) {
		return err
	}
	v.spans = append(v.spans, span{first: len(v.cells), end: len(v.cells), null: true})
	return nil
}

// leaveOut leaves out the cells of a column for which there are no keys. It returns err if it may
// not.
func (v *Sealing) leaveOut(k *columnKeys, err error) error {
	if !k.copy || !v.leave(err) {
		return err
	}
	k.data, k.live = nil, nil
	return nil
}

// leave logs and counts why a companion becomes NULL. It is false if the statement is given up.
func (v *Sealing) leave(err error) bool {
	if v.ctx.Err() != nil {
		return false
	}
	r := &sqlplan.Refusal{Class: colseal.ClassValue}
	var cell *colseal.CellError
	var refusal *sqlplan.Refusal
	switch {
	case errors.As(err, &refusal):
		r = refusal
	case errors.As(err, &cell):
		class, _ := rejection(cell.Err)
		r.Table, r.Column = cell.Table, cell.Column
		if r.Reason = "the value does not fit the column's kind: " + class; cell.Op != "seal" {
			r.Class, r.Reason = ClassKey, "no key to seal with: "+class
		}
	}
	v.s.db.Observed(v.ctx, r)
	return true
}

// ClassKey is the class of a value that was not copied for want of a key.
const ClassKey colseal.Class = "key"

// Observed counts and logs what will be refused in schema.StageSealed.
func (db *DB) Observed(ctx context.Context, r *sqlplan.Refusal) {
	db.tel.Counts.Observed(string(r.Class))
	db.tell(ctx, audit.Observed, r)
}

// tell logs a refusal, or what will be one.
func (db *DB) tell(ctx context.Context, e audit.Event, q *sqlplan.Refusal) {
	class, statement := string(q.Class), audit.Fingerprint(q.Query)
	attrs := []slog.Attr{slog.String(audit.Class, class), slog.String(audit.Reason, q.Reason)}
	if q.Table != "" {
		attrs = append(attrs, slog.String(audit.Table, q.Table))
	}
	if q.Column != "" {
		attrs = append(attrs, slog.String(audit.Column, q.Column))
	}
	if statement != "" {
		line, position := q.Position()
		attrs = append(attrs, slog.Int(audit.Line, line), slog.Int(audit.Position, position), slog.String(audit.Statement, statement))
	}
	db.log.EmitSparse(ctx, e, []string{class, q.Table, q.Column, statement}, attrs...)
}
