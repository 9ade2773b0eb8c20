package queries

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"sync"

	"github.com/colseal/colseal/bench/internal/stat"
)

// The subjects. Every case has those that make sense for it.
const (
	namePlain    = "plain pgx, plaintext"
	nameAgain    = "plain pgx, plaintext, again (A/A)"
	nameUntagged = "Colseal, nothing tagged"
	nameCipher   = "plain pgx, the ciphertext as it is"
	nameSealed   = "Colseal, 3 sealed columns"
	nameRaw      = "pgcrypto encrypt() aes-cbc"
	namePGP      = "pgcrypto pgp_sym_encrypt()"
)

// A testCase is one kind of statement.
type testCase struct {
	name    string
	rows    int
	insert  bool
	durable bool
}

var cases = []testCase{
	{name: "SELECT by primary key, 3 values", rows: 1},
	{name: "SELECT 1000 × 3 values", rows: 1000},
	{name: "INSERT 3 values, asynchronous commit", rows: 1, insert: true},
	{name: "INSERT 3 values, commit waits for fsync", rows: 1, insert: true, durable: true},
	{name: "INSERT 100 × 3 values, asynchronous commit", rows: 100, insert: true},
}

// subjects are what is timed in the case, the base first. Each has connections of
// its own: one that is used more often than another is warmer on the server's side.
func (f *fixture) subjects(ctx context.Context, c testCase) ([]stat.Subject, error) {
	one := func(db *sql.DB, k kind) func() {
		if c.insert {
			return f.inserting(ctx, db, k, c.rows, nil)
		}
		return f.selecting(ctx, db, k, c.rows)
	}
	cipher := one(f.pools.cipher, sealedKind)
	if c.insert {
		cells, err := f.cells(ctx)
		if err != nil {
			return nil, err
		}
		cipher = f.inserting(ctx, f.pools.cipher, sealedKind, c.rows, cells)
	}
	list := []struct {
		name string
		db   *sql.DB
		one  func()
	}{
		{namePlain, f.pools.plain, one(f.pools.plain, plainKind)},
		{nameAgain, f.pools.again, one(f.pools.again, plainKind)},
		{nameUntagged, f.pools.untagged, one(f.pools.untagged, plainKind)},
		{nameCipher, f.pools.cipher, cipher},
		{nameSealed, f.pools.sealed, one(f.pools.sealed, sealedKind)},
		{nameRaw, f.pools.raw, one(f.pools.raw, rawKind)},
		{namePGP, f.pools.pgp, one(f.pools.pgp, pgpKind)},
	}
	subjects := make([]stat.Subject, len(list))
	for i, s := range list {
		subjects[i] = stat.Subject{Name: s.name, Run: func(n int) { f.spread(n, s.one) }, Renew: func() { f.reconnect(s.db, s.one) }}
	}
	return subjects, nil
}

// reconnect closes a pool's connections and opens as many new ones. On a machine of
// few cores a connection can be lucky or unlucky for as long as it lives.
func (f *fixture) reconnect(db *sql.DB, one func()) {
	db.SetMaxIdleConns(-1)
	db.SetMaxIdleConns(f.conns)
	f.spread(warmUp*f.conns, one)
}

// warmUp is how often each new connection is used before it is timed: PostgreSQL settles
// on a plan for a prepared statement by its sixth use.
const warmUp = 8

// spread runs one n times, on as many goroutines as there are connections.
func (f *fixture) spread(n int, one func()) {
	if f.conns == 1 {
		for range n {
			one()
		}
		return
	}
	var all sync.WaitGroup
	for w := range f.conns {
		all.Go(func() {
			for range (n + w) / f.conns {
				one()
			}
		})
	}
	all.Wait()
}

func (f *fixture) selecting(ctx context.Context, db *sql.DB, k kind, rows int) func() {
	if rows == 1 {
		text := k.query("id = $1")
		return func() {
			var name, email, phone string
			f.note(db.QueryRowContext(ctx, text, rand.Int64N(storedRows)).Scan(&name, &email, &phone)) //nolint:gosec // any row
		}
	}
	text := k.query("id >= $1 AND id < $2")
	return func() {
		first := rand.Int64N(storedRows - int64(rows)) //nolint:gosec // any rows
		result, err := db.QueryContext(ctx, text, first, first+int64(rows))
		if err != nil {
			f.note(err)
			return
		}
		n := 0
		for ; result.Next(); n++ {
			var name, email, phone string
			f.note(result.Scan(&name, &email, &phone))
		}
		f.note(result.Err())
		f.note(result.Close())
		if n != rows {
			f.note(sql.ErrNoRows)
		}
	}
}

// inserting writes rows of the usual values, or of the given ones.
func (f *fixture) inserting(ctx context.Context, db *sql.DB, k kind, rows int, given []any) func() {
	text := k.insert("_write", rows)
	return func() {
		args := arguments(f.nextID.Add(int64(rows)), rows)
		if given != nil {
			for i := range args {
				if i%4 > 0 {
					args[i] = given[i%4-1]
				}
			}
		}
		_, err := db.ExecContext(ctx, text, args...)
		f.note(err)
	}
}

// cells returns the sealed values of one row.
func (f *fixture) cells(ctx context.Context) ([]any, error) {
	var name, email, phone []byte
	err := f.pools.plain.QueryRowContext(ctx, "SELECT name, email, phone FROM sealed_read WHERE id = 1").Scan(&name, &email, &phone)
	return []any{name, email, phone}, err
}
