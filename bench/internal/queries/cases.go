package queries

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"sync"
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

	namePlainRows = "plain pgx, plaintext, 10,000 × 3, by 10"
	nameRows      = "Colseal, 10,000 × 3, by 10"
)

// A testCase is one kind of statement.
type testCase struct {
	name    string
	rows    int
	insert  bool
	durable bool
	tenfold bool // the same with ten times the rows, to show that a row costs the same
}

// The names of the cases.
const (
	casePoint   = "SELECT by primary key, 3 values"
	caseMany    = "SELECT 1000 × 3 values"
	caseInsert  = "INSERT 3 values, asynchronous commit"
	caseDurable = "INSERT 3 values, commit waits for fsync"
	caseBatch   = "INSERT 100 × 3 values, asynchronous commit"
	caseRows    = "SELECT 10,000 × 3 values beside 1000 × 3"
)

var cases = []testCase{
	{name: casePoint, rows: 1},
	{name: caseMany, rows: 1000},
	{name: caseInsert, rows: 1, insert: true},
	{name: caseDurable, rows: 1, insert: true, durable: true},
	{name: caseBatch, rows: 100, insert: true},
	{name: caseRows, rows: 1000, tenfold: true},
}

// ways are what is timed in the case, the base first. Each has connections of
// its own: one that is used more often than another is warmer on the server's side.
func (f *fixture) ways(ctx context.Context, c testCase) ([]way, error) {
	if c.tenfold {
		return f.tenfold(ctx, c.rows), nil
	}
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
	list := []way{
		{name: namePlain, db: f.pools.plain, one: one(f.pools.plain, plainKind)},
		{name: nameAgain, db: f.pools.again, one: one(f.pools.again, plainKind)},
		{name: nameUntagged, db: f.pools.untagged, one: one(f.pools.untagged, plainKind)},
		{name: nameCipher, db: f.pools.cipher, one: cipher},
		{name: nameSealed, db: f.pools.sealed, one: one(f.pools.sealed, sealedKind)},
	}
	if !f.replayed { // pgcrypto is the server's work
		list = append(list, way{name: nameRaw, db: f.pools.raw, one: one(f.pools.raw, rawKind)},
			way{name: namePGP, db: f.pools.pgp, one: one(f.pools.pgp, pgpKind)})
	}
	return list, nil
}

// subject returns the way as it is timed.
func (f *fixture) subject(w way) subject {
	s := subject{run: func(n int) { f.spread(n, w.one) }}
	if f.replayed {
		f.spread(2*warmUp, w.one) // until answers are replayed
	} else {
		s.renew = func() { f.reconnect(w.db, w.one) }
	}
	return s
}

// A way to do what a case does.
type way struct {
	name   string
	db     *sql.DB
	one    func()
	weight float64 // how many of the others one is worth; if zero, 1
}

// tenfold are the ways of the case that compares numbers of rows.
func (f *fixture) tenfold(ctx context.Context, rows int) []way {
	p := &f.pools
	return []way{
		{name: namePlain, db: p.plain, one: f.selecting(ctx, p.plain, plainKind, rows)},
		{name: nameAgain, db: p.again, one: f.selecting(ctx, p.again, plainKind, rows)},
		{name: namePlainRows, db: p.cipher, one: f.selecting(ctx, p.cipher, plainKind, 10*rows), weight: 10},
		{name: nameSealed, db: p.sealed, one: f.selecting(ctx, p.sealed, sealedKind, rows)},
		{name: nameRows, db: p.sealed, one: f.selecting(ctx, p.sealed, sealedKind, 10*rows), weight: 10},
	}
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
		first := rand.Int64N(max(storedRows-int64(rows), storedRows/2)) //nolint:gosec // any rows
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
