package keyring

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/colseal/colseal/internal/hint"
)

// A keyring has an id: 16 random bytes in the row of key_id 0, which stands there once, because
// key_id is the primary key, and which a program's role can neither change nor delete. Every
// key is wrapped with the id in its encryption context, so a row that is copied into another
// keyring does not unwrap there. A dump carries the id, so a restored keyring opens.

// idSize is the length of a keyring's id in bytes.
const idSize = 16

// purposeKeyring is the purpose of the row that holds the id.
const purposeKeyring = "keyring"

func newKeyringID() string {
	b := make([]byte, idSize)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// CheckID returns an error if id cannot be the id of a keyring: 32 hexadecimal digits in
// lower case.
func CheckID(id string) error {
	if b, err := hex.DecodeString(id); err != nil || len(b) != idSize || strings.ToLower(id) != id {
		return hint.With(errors.New("keyring: this is not the id of a keyring"), "give the 32 hexadecimal digits that `colseal keys status` prints")
	}
	return nil
}

// Pin makes the Store refuse, with [ErrOtherKeyring], every keyring but the one of this id:
// a database that was copied, say. "" is any. It is called before the Store is used.
func (s *Store) Pin(id string) {
	if err := CheckID(id); id != "" && err != nil && s.invalid == nil {
		s.invalid = err
	}
	s.pinned = id
}

// ID returns the keyring's id: 32 hexadecimal digits, or "" if the keyring is new and has none
// yet. It is not secret.
func (s *Store) ID(ctx context.Context) (string, error) {
	id, _, err := s.query(ctx, "", s.rowColumns("0", "0"), s.table+" k ON 1 = 0", "")
	return id.id, err
}

// Identify returns the keyring's id. It gives a new keyring the id as, which it may have had before
// it was lost, or a random one if as is "". A keyring that holds keys and has no id gets none,
// because none of the keys would open under it.
func (s *Store) Identify(ctx context.Context, as string) (string, error) {
	id, err := s.ID(ctx)
	if id != "" || err != nil {
		return id, err
	}
	fresh, err := hex.DecodeString(cmp.Or(as, newKeyringID()))
	if err != nil || len(fresh) != idSize {
		return "", CheckID(as)
	}
	_, err = s.update(ctx, "insert into", "INSERT INTO "+s.table+" (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved)"+
		" SELECT 0, '"+purposeKeyring+"', '', 1, '', $1, 0 WHERE NOT EXISTS (SELECT 1 FROM "+s.table+") ON CONFLICT DO NOTHING", fresh)
	if err != nil {
		return "", err
	}
	if id, err = s.ID(ctx); id == "" && err == nil {
		err = s.lostID()
	}
	return id, err
}

// identity validates the id as it was read; "" if the keyring has none.
func (s *Store) identity(wrapped, purpose any) (string, error) {
	if wrapped == nil && purpose == nil {
		if s.pinned != "" {
			return "", s.newKeyring("it is new, and has no id")
		}
		return "", nil
	}
	b, _ := wrapped.([]byte)
	if len(b) != idSize || asText(purpose) != purposeKeyring {
		return "", &Error{Op: "read", Class: ErrOtherKeyring, Cause: errors.New("its id cannot be one"), Hint: lostIDHint}
	}
	id := hex.EncodeToString(b)
	if s.pinned != "" && id != s.pinned {
		return "", &Error{Op: "read", Class: ErrOtherKeyring, Cause: fmt.Errorf("the keyring in %s is %s, and %s is configured", s.table, id, s.pinned),
			Hint: "connect to the database that is meant; or, if this one is, configure its id, and see `colseal keys adopt` for a copy"}
	}
	return id, nil
}

// newKeyring returns the error of a new keyring where another one is pinned.
func (s *Store) newKeyring(why string) error {
	return &Error{Op: "read", Class: ErrOtherKeyring, Cause: fmt.Errorf("%s, and %s is configured", why, s.pinned),
		Hint: "restore the keyring; or, if a new one is meant, make it with `colseal keys init`, which prints its id, and configure that"}
}

const lostIDHint = "restore the row with key_id 0 of the key table from a backup: no key opens without it"

// lostID returns the error of a keyring with keys and without an id.
func (s *Store) lostID() error {
	return &Error{Op: "read", Class: ErrOtherKeyring, Cause: fmt.Errorf("%s holds keys and has no id", s.table), Hint: lostIDHint}
}

// identified holds the keyring's id, and whether it has keys of scopes. It is read together with
// keys.
type identified struct {
	id     string
	scoped bool
}

// query reads the keyring's id, and keys. columns are of rowColumns; from is a relation k with its
// join condition. The queries are total: no row makes one fail.
func (s *Store) query(ctx context.Context, with, columns, from, tail string, args ...any) (id identified, keys []Key, err error) {
	err = s.retried(ctx, opRead, func(ctx context.Context, conn *sql.Conn) error {
		id, keys, err = s.queryOn(ctx, conn, with, columns, from, tail, args...)
		return err
	})
	return id, keys, err
}

// queryOn is query on a connection.
func (s *Store) queryOn(ctx context.Context, conn *sql.Conn, with, columns, from, tail string, args ...any) (id identified, keys []Key, err error) {
	text := with + "SELECT " + columns + " FROM (SELECT 1 AS one) x LEFT JOIN " + s.table + " i ON i.key_id = 0 LEFT JOIN " + from + tail
	rows, err := conn.QueryContext(ctx, text, args...)
	if err != nil {
		return id, nil, err
	}
	defer func() { _ = rows.Close() }() // its error is rows.Err's
	for rows.Next() {
		var r row
		if err := r.scan(rows, s.dialect); err != nil {
			return id, nil, err
		}
		if id.id, err = s.identity(r.keyring, r.keyringPurpose); err != nil {
			return id, nil, err
		}
		id.scoped = isOne(r.scoped)
		if r.id == nil {
			continue // only the id
		}
		if id.id == "" {
			return id, nil, s.lostID()
		}
		k := r.key()
		k.Keyring = id.id
		keys = append(keys, k)
	}
	return id, keys, rows.Err()
}
