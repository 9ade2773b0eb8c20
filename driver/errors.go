package driver

import (
	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keyring"
)

// QueryError and CellError are the errors of both fronts.
type (
	QueryError = colseal.QueryError
	CellError  = colseal.CellError
)

// Errors to branch on with errors.Is. They are those of the packages that make them, under names
// that need no further import.
var (
	ErrRefused        = colseal.ErrRefused        // the statement was not sent
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
