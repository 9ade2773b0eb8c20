// Command writeonly shows a program that seals and cannot open: a web form that takes tax numbers,
// and the back office that reads them.
//
//	go run ./examples/writeonly
//
// uses an embedded SQLite file and a key encryption key in a file, both in a temporary folder that
// is removed at the end. On PostgreSQL and another key service:
//
//	go run ./examples/writeonly -dsn postgres://… -kms awskms:///alias/app
//
// All three roles are in one process here, to be seen side by side. In earnest each is a program of
// its own: the form has a role at the database that docs/write-only.md describes, and no identity
// at the key service.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/awskms" // kms.Open knows awskms:// by this import
	"github.com/colseal/colseal/kms/localkms"
)

const keyTable = "writeonly_keys"

func main() {
	var dsn, key, kem string
	flag.StringVar(&dsn, "dsn", "", "a PostgreSQL `URL`; default: a SQLite file in a temporary folder")
	flag.StringVar(&key, "kms", "", "a key service's `URL`; default: a key in a temporary folder")
	flag.StringVar(&kem, "kem", "", "the inbox's `algorithm`: mlkem768-x25519 by default, or mlkem768-p256 where FIPS 140 is asked for")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, dsn, key, keyring.KEM(kem)); err != nil {
		fmt.Fprintln(os.Stderr, "writeonly:", err)
		os.Exit(1)
	}
}

// place is the database, and the key service that the form does not get.
type place struct {
	plain  string // name of the driver below
	dsn    string
	config driver.Config // what the form and the back office have in common
	kms    kms.Wrapper
	kem    keyring.KEM
}

func run(ctx context.Context, out io.Writer, dsn, key string, kem keyring.KEM) (err error) {
	folder, err := os.MkdirTemp("", "colseal-writeonly-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	p := place{plain: "pgx", dsn: dsn, config: driver.Config{Driver: stdlib.GetDefaultDriver(), Schema: tables, KeyTable: keyTable}}
	if dsn == "" {
		p.plain, p.dsn = "sqlite", "file:"+filepath.ToSlash(filepath.Join(folder, "app.db"))+"?_pragma=busy_timeout(5000)"
		p.config.Driver, p.config.Dialect = &sqlite.Driver{}, driver.DialectSQLite
	}
	p.kem = kem
	if key == "" {
		p.kms, err = localkms.Open(filepath.Join(folder, "kek"))
	} else {
		p.kms, err = kms.Open(ctx, key)
	}
	if err != nil {
		return err
	}
	plain, err := sql.Open(p.plain, p.dsn) // it knows nothing of Colseal
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	if _, err := plain.ExecContext(ctx, tableDDL[p.plain]); err != nil {
		return err
	}
	defer func() { _, e := plain.ExecContext(ctx, "DROP TABLE "+table); err = errors.Join(err, e) }()
	return p.show(ctx, out, plain)
}

// show has the operator, the form and the back office do their part.
func (p place) show(ctx context.Context, out io.Writer, plain *sql.DB) (err error) {
	pin, err := p.operator(ctx, plain)
	if err != nil {
		return err
	}
	defer func() { _, e := plain.ExecContext(ctx, "DROP TABLE "+keyTable); err = errors.Join(err, e) }()
	fmt.Fprintf(out, "The operator makes an inbox. Its pin goes into the form's configuration:\n  %s\n", pin)

	db, err := p.openForm(pin)
	if err != nil {
		return err
	}
	defer db.Close()
	at, stop, err := serve(form{db})
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(out, "\nThe form takes what citizens send, and has no key service:\n")
	for _, c := range [][2]string{{"Ana Souza", "12-345-678"}, {"Björn Ek", "98-765-432"}} {
		answer, err := send(ctx, at, c[0], c[1])
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s: %s\n", c[0], answer)
	}
	_, err = form{db}.read(ctx)
	if !errors.Is(err, driver.ErrWriteOnly) {
		return fmt.Errorf("the form was to be refused what it wrote, and was not: %w", err)
	}
	fmt.Fprintf(out, "\nThe form cannot read what it wrote:\n  %v\n", err)

	fmt.Fprintf(out, "\nThe back office reads:\n")
	return p.office(ctx, out)
}

// operator makes the key table and the inbox, as `colseal keys init` and `colseal keys inbox` do.
func (p place) operator(ctx context.Context, plain *sql.DB) (pin string, err error) {
	store := keyring.OpenStore(plain, p.config.Dialect, keyTable)
	if err := store.Create(ctx); err != nil {
		return "", err
	}
	inbox, err := keyring.NewAdmin(store, p.kms, keyring.AdminConfig{}).Inbox(ctx, "", p.kem)
	if err != nil {
		return "", err
	}
	return inbox.Pin(), nil
}

// serve runs a handler at an address of this machine.
func serve(h http.Handler) (at string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // until stop
	return "http://" + l.Addr().String(), func() { srv.Close() }, nil
}

// send fills the form in.
func send(ctx context.Context, at, name, tax string) (answer string, err error) {
	values := url.Values{"name": {name}, "tax": {tax}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(values.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return strings.TrimSpace(string(text)), err
}
