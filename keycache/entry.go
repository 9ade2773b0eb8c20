package keycache

import (
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/colseal/colseal/codec"
)

// errWiped: the entry left the cache between being found and being used.
var errWiped = errors.New("keycache: data key was evicted while in use; raise MaxEntries")

// An entry is one plaintext data key and the keys expanded from it.
//
// The plaintext stays until the entry leaves the cache: a column that is used
// for the first time on a warm key must not ask KMS again. Expanded keys that
// were handed out go on working after that; they are the garbage collector's.
type entry struct {
	lease
	rec     Record
	columns atomic.Pointer[[]expanded] // append-only, replaced as a whole

	secret sync.Mutex // guards plain, and publication to columns; held for computation only
	plain  []byte     // nil once wiped
}

type expanded struct {
	col Column
	key *codec.Key
}

func newEntry(rec Record, plain []byte) *entry {
	e := &entry{rec: rec, plain: plain}
	e.columns.Store(&[]expanded{})
	return e
}

// key returns the key expanded for col if there is one. A schema has few columns,
// and its identities are the same strings each time: comparing their addresses
// finds almost every key without reading them, faster than a map would. The
// second pass is for an equal string from elsewhere.
func (e *entry) key(col Column) *codec.Key {
	columns := *e.columns.Load()
	at := unsafe.StringData(col.Identity)
	for i := range columns {
		if x := &columns[i]; unsafe.StringData(x.col.Identity) == at &&
			len(x.col.Identity) == len(col.Identity) && x.col.Suite == col.Suite {
			return x.key
		}
	}
	for i := range columns {
		if x := &columns[i]; x.col == col {
			return x.key
		}
	}
	return nil
}

// expand returns the key for col, made now if need be, or errWiped.
func (e *entry) expand(col Column) (*codec.Key, error) {
	if k := e.key(col); k != nil {
		return k, nil
	}
	e.secret.Lock()
	defer e.secret.Unlock()
	if k := e.key(col); k != nil {
		return k, nil
	}
	if e.plain == nil {
		return nil, errWiped
	}
	k, err := codec.NewKey(e.plain, e.rec.ID, col.Suite, col.Identity)
	if err != nil {
		return nil, err
	}
	columns := append(slices.Clip(*e.columns.Load()), expanded{col, k})
	e.columns.Store(&columns)
	return k, nil
}

// same reports whether plain is the entry's data key.
func (e *entry) same(plain []byte) bool {
	e.secret.Lock()
	defer e.secret.Unlock()
	return e.plain != nil && subtle.ConstantTimeCompare(e.plain, plain) == 1
}

// wipe ends the entry. A lookup that comes later is answered by the keyring.
func (e *entry) wipe() {
	e.end()
	e.secret.Lock()
	defer e.secret.Unlock()
	clear(e.plain)
	e.plain = nil
	e.columns.Store(&[]expanded{})
}
