// Package keycache keeps data keys: wrapped ones in a table of the application's
// own database (the keyring), plaintext ones in memory (the cache).
//
// A data key (DEK) is made by a key management service (KMS), which also wraps
// it under a key encryption key (KEK) that never leaves the service. The wrapped
// form is one row of the keyring; it is committed there before the first cell is
// sealed under it, so that no crash leaves a cell without its key. The plaintext
// form is expanded into one [codec.Key] for each column, which live in the cache.
//
//	          keyring table                cache                    cells
//	KMS ──▶ wrapped key, id, epoch ──▶ codec.Key for each column ──▶ seal, open
//	        (durable, shared)          (MaxAge, MaxStale)
//
// One [Cache] belongs to one process and one keyring. Processes meet in the
// keyring only: when a key is due each of them may try to insert the next one,
// and a unique constraint picks the winner.
//
// What the package promises: no lock is held while KMS or the database is asked;
// a lookup that hits takes no lock and allocates nothing; everything in memory
// is bounded; and no error, log line or statistic holds a key.
//
// The plaintext of a data key is wiped as soon as it is expanded. What Go cannot
// promise: expanded keys (the AES key schedule, HMAC state) are only dropped when
// a key leaves the cache, and left to the garbage collector; nothing is locked
// into memory. Built with GOEXPERIMENT=runtimesecret, Go erases expanded keys when
// it collects them, and the stack and registers after expanding.
package keycache
