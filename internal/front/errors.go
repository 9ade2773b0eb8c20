package front

import (
	"cmp"
	sqldriver "database/sql/driver"
	"errors"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/schema"
)

// unknownKey is the error of a cell whose key is not in the keyring. It is an ErrAuth too: a
// cell with a forged key id cannot be told from one whose key was lost.
type unknownKey struct{ err error }

func (e unknownKey) Error() string   { return e.err.Error() }
func (e unknownKey) Unwrap() []error { return []error{e.err, codec.ErrAuth} }

// hintFor says what to do about a cause, or nothing when the cause says it itself.
func hintFor(err error) string {
	switch {
	case errors.As(err, new(unknownKey)):
		return "if other cells of the column open, this one was altered: restore it from a backup"
	case errors.Is(err, codec.ErrHexText):
		return "the column was bytea when its cells were written: make it bytea again with ALTER TABLE ... ALTER COLUMN ... TYPE bytea USING column::bytea"
	case errors.Is(err, codec.ErrNotSealed):
		return "the stored value is plaintext: write it again through Colseal; a whole table in plaintext is sealed by colseal seal"
	case errors.Is(err, codec.ErrColumnMismatch):
		return "the cell was sealed for another column, or the tag had other options (join=, prefix=, min= and the like): write the tag as it was, and if a table or column was renamed, keep its old identity with id= in the tag"
	case errors.Is(err, codec.ErrAuth):
		return "the cell was altered or does not belong here: restore it from a backup"
	case errors.Is(err, codec.ErrKind):
		return "the column's kind was changed after the cell was sealed: declare the old kind again, or convert its cells with colseal keys reseal --from-kind"
	case errors.Is(err, codec.ErrTooLong):
		return "PostgreSQL stores at most 1 GiB in a field: cut the value into several rows, or keep it elsewhere"
	case errors.Is(err, codec.ErrValue):
		return "give a value of the declared kind, or declare another one with kind= in the tag"
	case errors.Is(err, codec.ErrFormat):
		return "the cell was damaged, cut or written by a later version"
	}
	return ""
}

// SealError, OpenError and keyError say what failed for a column.
func SealError(col *schema.Column, where string, err error) error {
	if errors.Is(err, colseal.ErrRefused) {
		return err
	}
	return cellError("seal", col, where, err)
}

func OpenError(col *schema.Column, where string, err error) error {
	return cellError("open", col, where, err)
}

func keyError(col *schema.Column, err error) error {
	return cellError("find the key of", col, "", ofOthers(err))
}

func cellError(op string, col *schema.Column, where string, err error) error {
	return &colseal.CellError{Op: op, Table: col.TableName(), Column: col.Name, Where: where, Err: err, Hint: cmp.Or(hint.Of(err), hintFor(err))}
}

// ofOthers returns an error of connections that are not the program's. It is not driver.ErrBadConn,
// for which database/sql would close the program's.
func ofOthers(err error) error {
	if errors.Is(err, sqldriver.ErrBadConn) {
		return othersConn{err}
	}
	return err
}

type othersConn struct{ error }

func (e othersConn) Is(target error) bool {
	return target != sqldriver.ErrBadConn && errors.Is(e.error, target)
}

func (e othersConn) As(target any) bool { return errors.As(e.error, target) }

// staleCatalog reports whether err is the server's way to say that what we, or a
// prepared statement, believe about a table is out of date.
func staleCatalog(err error) bool {
	switch dbcatalog.SQLState(err) {
	case "0A000", // feature_not_supported: "cached plan must not change result type"
		"42703", // undefined_column
		"42P01": // undefined_table
		return true
	}
	return false
}
