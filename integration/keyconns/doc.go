// Package keyconns tests over which connections the keyring is read and written, where connections are few: behind a pooler, above
// a pool, for a role with one connection, and where requests set the search path.
package keyconns
