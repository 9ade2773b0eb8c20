package queries

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/jackc/pgx/v5"
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

	nameOrdinary  = "Colseal, a program with a KMS"
	nameOrdinary2 = "Colseal, a program with a KMS, again (A/A)"
	nameWriteOnly = "Colseal, a write-only program"

	namePlainRows = "plain pgx, plaintext, 10,000 × 3, by 10"
	nameRows      = "Colseal, 10,000 × 3, by 10"
)

// A testCase is one kind of statement.
type testCase struct {
	name    string
	rows    int
	native  bool // pgx without database/sql
	insert  bool
	copied  bool // written by COPY
	durable bool
	writers bool // write-only programs beside ordinary ones
	tenfold bool // the same with ten times the rows, to show that a row costs the same
}

// The names of the cases: through which front, and what.
const (
	driverFront = "driver: "
	nativeFront = "native pgx: "

	selectOne  = "SELECT by primary key, 3 values"
	selectMany = "SELECT 1000 × 3 values"
	insertOne  = "INSERT 3 values, asynchronous commit"
	copyMany   = "COPY 100,000 × 3 values"

	caseWriters = driverFront + "INSERT 3 values, write-only beside ordinary"
	caseRows    = driverFront + "SELECT 10,000 × 3 values beside 1000 × 3"
)

var cases = []testCase{
	{name: driverFront + selectOne, rows: 1},
	{name: driverFront + selectMany, rows: 1000},
	{name: driverFront + insertOne, rows: 1, insert: true},
	{name: driverFront + "INSERT 3 values, commit waits for fsync", rows: 1, insert: true, durable: true},
	{name: driverFront + "INSERT 100 × 3 values, asynchronous commit", rows: 100, insert: true},
	{name: caseWriters, rows: 1, insert: true, writers: true},
	{name: caseRows, rows: 1000, tenfold: true},
	{name: nativeFront + selectOne, rows: 1, native: true},
	{name: nativeFront + selectMany, rows: 1000, native: true},
	{name: nativeFront + insertOne, rows: 1, insert: true, native: true},
	{name: nativeFront + copyMany, rows: 100_000, insert: true, copied: true, native: true},
}

// Names are the names of the cases.
func Names() []string {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.name
	}
	return names
}

// ways are what is timed in the case, the base first. Each has connections of
// its own: one that is used more often than another is warmer on the server's side.
func (f *fixture) ways(ctx context.Context, c testCase) ([]way, error) {
	if c.tenfold {
		return f.tenfold(ctx, c.rows), nil
	}
	var cells []any
	if c.insert {
		var err error
		if cells, err = f.cells(ctx); err != nil {
			return nil, err
		}
	}
	wayOf := func(name string, p pool, k kind, given []any) way {
		w := way{name: name, pool: p}
		switch {
		case c.copied:
			w.one = f.copying(ctx, p, k, c.rows, given)
			w.before = func() { f.note(p.exec(ctx, "TRUNCATE "+k.name+"_write")) }
		case c.insert:
			w.one = f.inserting(ctx, p, k, c.rows, given)
		default:
			w.one = f.selecting(ctx, p, k, c.rows)
		}
		return w
	}
	if c.writers {
		return []way{
			wayOf(nameOrdinary, f.pools.sealed, sealedKind, nil),
			wayOf(nameOrdinary2, f.pools.untagged, sealedKind, nil), // made like the other one
			wayOf(nameWriteOnly, f.pools.writer, sealedKind, nil),
		}, nil
	}
	list := []way{
		wayOf(namePlain, f.pools.plain, plainKind, nil),
		wayOf(nameAgain, f.pools.again, plainKind, nil),
		wayOf(nameUntagged, f.pools.untagged, plainKind, nil),
		wayOf(nameCipher, f.pools.cipher, sealedKind, cells),
		wayOf(nameSealed, f.pools.sealed, sealedKind, nil),
	}
	if f.pgcrypto && !c.native {
		list = append(list, wayOf(nameRaw, f.pools.raw, rawKind, nil), wayOf(namePGP, f.pools.pgp, pgpKind, nil))
	}
	return list, nil
}

// subject returns the way as it is timed.
func (f *fixture) subject(w way) subject {
	s := subject{run: func(n int) { f.spread(n, w.one) }}
	if f.replayed {
		f.spread(2*warmUp, w.one) // until answers are replayed
		return s
	}
	if s.before = w.before; s.before == nil {
		s.renew = func() {
			w.pool.renew(f.conns)
			f.spread(warmUp*f.conns, w.one)
		}
	}
	return s
}

// A way to do what a case does.
type way struct {
	name   string
	pool   pool
	one    func()
	before func()  // a block; may be nil
	weight float64 // how many of the others one is worth; if zero, 1
}

// tenfold are the ways of the case that compares numbers of rows.
func (f *fixture) tenfold(ctx context.Context, rows int) []way {
	p := &f.pools
	return []way{
		{name: namePlain, pool: p.plain, one: f.selecting(ctx, p.plain, plainKind, rows)},
		{name: nameAgain, pool: p.again, one: f.selecting(ctx, p.again, plainKind, rows)},
		{name: namePlainRows, pool: p.cipher, one: f.selecting(ctx, p.cipher, plainKind, 10*rows), weight: 10},
		{name: nameSealed, pool: p.sealed, one: f.selecting(ctx, p.sealed, sealedKind, rows)},
		{name: nameRows, pool: p.sealed, one: f.selecting(ctx, p.sealed, sealedKind, 10*rows), weight: 10},
	}
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

func (f *fixture) selecting(ctx context.Context, p pool, k kind, rows int) func() {
	if rows == 1 {
		text := k.query("id = $1")
		return func() { f.note(p.one(ctx, text, rand.Int64N(storedRows))) } //nolint:gosec // any row
	}
	text := k.query("id >= $1 AND id < $2")
	return func() {
		first := rand.Int64N(max(storedRows-int64(rows), storedRows/2)) //nolint:gosec // any rows
		n, err := p.many(ctx, text, first, first+int64(rows))
		if err == nil && n != rows {
			err = sql.ErrNoRows
		}
		f.note(err)
	}
}

// inserting writes rows of the usual values, or of the given ones.
func (f *fixture) inserting(ctx context.Context, p pool, k kind, rows int, given []any) func() {
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
		f.note(p.exec(ctx, text, args...))
	}
}

// copying is inserting by COPY, which is for native pools.
func (f *fixture) copying(ctx context.Context, p pool, k kind, rows int, given []any) func() {
	if given == nil {
		given = arguments(0, 1)[1:]
	}
	table, names := pgx.Identifier{k.name + "_write"}, append([]string{"id"}, columns...)
	return func() {
		next := f.nextID.Add(int64(rows))
		last, row := next+int64(rows), append([]any{nil}, given...)
		_, err := p.(nativePool).CopyFrom(ctx, table, names, pgx.CopyFromFunc(func() ([]any, error) {
			if next == last {
				return nil, nil
			}
			row[0] = next
			next++
			return row, nil
		}))
		f.note(err)
	}
}

// cells returns the stored values of one row of sealed columns.
func (f *fixture) cells(ctx context.Context) (cells []any, err error) {
	conn, err := pgx.ConnectConfig(ctx, f.server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var name, email, phone []byte
	err = conn.QueryRow(ctx, "SELECT name, email, phone FROM sealed_read WHERE id = 1").Scan(&name, &email, &phone)
	return []any{name, email, phone}, err
}
