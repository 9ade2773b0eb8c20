package queries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// The tables: rows to read, and one to write to. Those of a kind are alike but for
// how the three values are stored.
const (
	storedRows = 10_000                             // of each kind, and twice as many where numbers of rows are compared
	secret     = "a key of 32 bytes for pgcrypto.." // of pgcrypto, which the server sees
)

// A kind of table, and how its three values are written and read. %d is the number
// of a parameter, %s a column.
type kind struct {
	name       string
	columnType string
	put, get   string
}

var (
	plainKind  = kind{"plain", "text", "$%d", "%s"}
	sealedKind = kind{"sealed", "bytea", "$%d", "%s"}
	pgpKind    = kind{"pgp", "bytea", "pgp_sym_encrypt($%d, '" + secret + "')", "pgp_sym_decrypt(%s, '" + secret + "')"}
	rawKind    = kind{"raw", "bytea", "encrypt(convert_to($%d, 'UTF8'), '" + secret + "', 'aes')", "convert_from(decrypt(%s, '" + secret + "', 'aes'), 'UTF8')"}
)

// kinds are the kinds of tables that are needed.
func kinds(pgcrypto bool) []kind {
	if pgcrypto {
		return []kind{plainKind, sealedKind, pgpKind, rawKind}
	}
	return []kind{plainKind, sealedKind}
}

var columns = []string{"name", "email", "phone"}

func (k kind) insert(table string, rows int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + k.name + table + " (id, name, email, phone) VALUES ")
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "($%d", 4*r+1)
		for c := range columns {
			fmt.Fprintf(&b, ", "+k.put, 4*r+2+c)
		}
		b.WriteByte(')')
	}
	return b.String()
}

func (k kind) query(where string) string {
	var list []string
	for _, c := range columns {
		list = append(list, fmt.Sprintf(k.get, c))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + k.name + "_read WHERE " + where
}

// values are those of every row: 3 × 32 bytes.
func values() (name, email, phone string) {
	return "Margarethe Elisabeth von der Aue", "margarethe.von.der.aue@example.or", "+49 (0) 351 123 45 67 ext. 89012"
}

// A fixture is the tables, and pools of a number of connections on them.
type fixture struct {
	conns    int
	dir      string // of the KEK
	replayed bool
	pgcrypto bool
	server   *pgx.ConnConfig
	pools    struct{ plain, again, untagged, cipher, sealed, writer, raw, pgp pool } // writer is nil without a pin

	nextID  atomic.Int64
	failure atomic.Pointer[error] // the first of a timed loop
}

func (f *fixture) all() []pool {
	p := &f.pools
	all := []pool{p.plain, p.again, p.untagged, p.cipher, p.sealed, p.raw, p.pgp}
	if p.writer != nil {
		all = append(all, p.writer)
	}
	return all
}

var sealedSchema = []schema.Source{
	schema.Columns("sealed_read", sealedColumns()...), schema.Columns("sealed_write", sealedColumns()...),
}

func sealedColumns() []schema.Column {
	var all []schema.Column
	for _, c := range columns {
		all = append(all, schema.Column{Name: c, Mode: schema.ModeRandomized, Kind: schema.KindText, Inbox: true})
	}
	return all
}

// fixtureOptions say how a fixture's connections are made.
type fixtureOptions struct {
	pin      string // of the inbox that write-only programs seal to
	durable  bool   // commits wait for the disk
	replayed bool   // answers come from memory
	native   bool   // pgx without database/sql
	pgcrypto bool   // it is compared, too
}

// newFixture opens the pools. The KEK is in dir, so that fixtures of one dir read
// each other's cells.
func newFixture(dsn, dir string, conns int, o fixtureOptions) (*fixture, error) {
	cfg, err := config(dsn, o.durable)
	if err != nil {
		return nil, err
	}
	tables, err := schema.New(sealedSchema...)
	if err != nil {
		return nil, err
	}
	w, err := localkms.Open(filepath.Join(dir, "kek"))
	if err != nil {
		return nil, err
	}
	f := &fixture{conns: conns, dir: dir, replayed: o.replayed, pgcrypto: o.pgcrypto, server: cfg.Copy()}
	if o.replayed {
		cfg.DialFunc = replaying(cfg.DialFunc)
	}
	sealing := driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true}
	open := openSQL
	if o.native {
		open = openNative
	}
	f.nextID.Store(2 * storedRows)
	for _, p := range []*pool{&f.pools.plain, &f.pools.again, &f.pools.cipher, &f.pools.raw, &f.pools.pgp} {
		if *p, err = open(cfg, conns, nil); err != nil {
			return nil, err
		}
	}
	if p, ok := f.pools.cipher.(nativePool); ok {
		p.bytes = true
		f.pools.cipher = p
	}
	for _, p := range []*pool{&f.pools.untagged, &f.pools.sealed} {
		if *p, err = open(cfg, conns, &sealing); err != nil {
			return nil, err
		}
	}
	if o.pin != "" {
		writing := driver.Config{Schema: tables, WriteOnly: &driver.Inbox{Pins: []string{o.pin}}}
		if f.pools.writer, err = open(cfg, conns, &writing); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// inbox makes the inbox that write-only programs seal to, and returns its pin.
func (f *fixture) inbox(ctx context.Context) (pin string, err error) {
	w, err := localkms.Open(filepath.Join(f.dir, "kek"))
	if err != nil {
		return "", err
	}
	db := stdlib.OpenDB(*f.server)
	defer func() { err = errors.Join(err, db.Close()) }()
	k, err := keyring.NewAdmin(keyring.OpenStore(db, keyring.DialectPostgres, ""), w, keyring.AdminConfig{}).Inbox(ctx, "", "")
	return k.Pin(), err
}

func (f *fixture) close() error {
	var errs []error
	for _, p := range f.all() {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// create makes and fills the tables.
func (f *fixture) create(ctx context.Context, kinds []kind) error {
	exec := func(text string) error {
		if err := f.pools.plain.exec(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		return nil
	}
	statements := []string{"DROP SCHEMA IF EXISTS " + schemaName + " CASCADE", "CREATE SCHEMA " + schemaName}
	if slices.Contains(kinds, pgpKind) {
		statements = append(statements, "CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public")
	}
	for _, k := range kinds {
		for _, table := range []string{"_read", "_write"} {
			statements = append(statements, fmt.Sprintf("CREATE TABLE %s%s (id bigint PRIMARY KEY, name %s, email %[3]s, phone %[3]s)", k.name, table, k.columnType))
		}
	}
	for _, s := range statements {
		if err := exec(s); err != nil {
			return err
		}
	}
	const batch = 500
	for _, k := range kinds {
		db := f.pools.plain
		if k == sealedKind {
			db = f.pools.sealed
		}
		text, rows := k.insert("_read", batch), storedRows
		if k == plainKind || k == sealedKind {
			rows *= 2
		}
		for first := 0; first < rows; first += batch {
			if err := db.exec(ctx, text, arguments(int64(first), batch)...); err != nil {
				return fmt.Errorf("filling %s: %w", k.name, err)
			}
		}
	}
	return exec("ANALYZE")
}

// arguments are those of an insert of rows with ids from first on.
func arguments(first int64, rows int) []any {
	name, email, phone := values()
	args := make([]any, 0, 4*rows)
	for r := range rows {
		args = append(args, first+int64(r), name, email, phone)
	}
	return args
}

func (f *fixture) drop(ctx context.Context) error {
	return f.pools.plain.exec(ctx, "DROP SCHEMA IF EXISTS "+schemaName+" CASCADE")
}

func (f *fixture) truncate(ctx context.Context) error {
	for _, k := range kinds(f.pgcrypto) {
		if err := f.pools.plain.exec(ctx, "TRUNCATE "+k.name+"_write"); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixture) note(err error) {
	if err != nil {
		f.failure.CompareAndSwap(nil, &err)
	}
}

// tempDir makes the directory of the KEK.
func tempDir() (string, func(), error) {
	dir, err := os.MkdirTemp("", "colseal-bench-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
