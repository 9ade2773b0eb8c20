// Package failover tests what becomes of keys when the database loses its last commits, is set back, or its keyring does not
// answer. It holds docs/failover.md to what it says.
package failover
