package driver

import (
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
)

// QueryError says why a statement was refused before it was sent, where, and what to write instead. It wraps ErrRefused. Neither
// its text nor its Query holds a value.
type QueryError = sqlplan.Refusal

// CellError says which value could not be sealed or opened. It wraps the cause, which is one of the errors below, an error of the
// key service, or an error of the caller's own driver.Valuer. Its text holds no value.
type CellError = front.CellError

// What a caller may branch on with errors.Is. All but ErrRefused are the errors of the packages that make them, under names that
// need no further import.
var (
	ErrRefused        = sqlplan.ErrRefused        // the statement was not sent
	ErrNotSealed      = codec.ErrNotSealed        // a sealed column holds a value that is not a cell
	ErrAuth           = codec.ErrAuth             // a cell was altered, or belongs elsewhere
	ErrFormat         = codec.ErrFormat           // a cell cannot be read (ErrNotSealed is one of these)
	ErrColumnMismatch = codec.ErrColumnMismatch   // a cell of another column (an ErrAuth)
	ErrValue          = codec.ErrValue            // a value does not fit the column's kind
	ErrKind           = codec.ErrKind             // a cell of another kind than the column is declared to hold
	ErrKeyUnavailable = keyring.ErrKeyUnavailable // the key service cannot be reached and no key is cached
	ErrKeyNotFound    = keyring.ErrKeyNotFound    // a cell names a key that the keyring does not have (an ErrAuth)
	ErrKeyDestroyed   = keyring.ErrKeyDestroyed   // a cell's key was destroyed
	ErrKeyInvalid     = keyring.ErrKeyInvalid     // a row of the keyring cannot be a key's
	ErrOtherKeyring   = keyring.ErrOtherKeyring   // the keyring is not the one of Config.KeyringID, or has lost its id
	ErrWriteOnly      = keyring.ErrWriteOnly      // a write-only program would open or compare a sealed value (an ErrRefused)
	ErrNoInbox        = keyring.ErrNoInbox        // the keyring has no inbox with a pin of Config.WriteOnly
	ErrNoKeyTable     = keyring.ErrNoKeyTable     // the keyring table is missing; the text prints its DDL
)
