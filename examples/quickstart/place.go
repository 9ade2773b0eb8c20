package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/awskms" // kms.Open knows awskms:// by this import
	"github.com/colseal/colseal/kms/localkms"
)

type options struct {
	dsn, kms string
	keep     bool
}

// place is the database and the KMS that the program runs on.
type place struct {
	plain  string // name of the driver below
	dsn    string
	bytes  string // the type of a sealed column
	folder string // holds the SQLite file and the local key; "" if neither is used
	keep   bool
	made   bool // the table is ours to drop
	// The schema colseal, with the function for searches, is ours to drop.
	madeSchema bool
	config     driver.Config
}

func prepare(ctx context.Context, out io.Writer, o options) (_ *place, err error) {
	p := &place{plain: "pgx", dsn: o.dsn, bytes: "bytea", keep: o.keep}
	p.config = driver.Config{
		Driver:             stdlib.GetDefaultDriver(),
		Schema:             tables,
		KeyTable:           keyTable,
		AutoCreateKeyTable: true,
	}
	if o.dsn == "" || o.kms == "" {
		if p.folder, err = os.MkdirTemp("", "colseal-quickstart-"); err != nil {
			return nil, err
		}
	}
	database := "PostgreSQL"
	if o.dsn == "" {
		database = filepath.Join(p.folder, "app.db")
		p.plain, p.bytes = "sqlite", "BLOB"
		p.dsn = "file:" + filepath.ToSlash(database) + "?_pragma=busy_timeout(5000)"
		p.config.Driver, p.config.Dialect = &sqlite.Driver{}, driver.DialectSQLite
	}
	key := o.kms
	if key == "" {
		key = filepath.Join(p.folder, "kek")
		p.config.KMS, err = localkms.Open(key)
	} else {
		p.config.KMS, err = kms.Open(ctx, key)
	}
	if err != nil {
		return nil, errors.Join(err, p.cleanUp(ctx, io.Discard))
	}
	fmt.Fprintf(out, "Database: %s\nKMS:      %s\n", database, key)
	return p, nil
}

// searchSQL makes what a search for beginnings needs on PostgreSQL: a function, and an index over it. It is a part of what colseal ddl
// prints, and is run over a connection without Colseal.
//
//go:embed search.sql
var searchSQL string

func (p *place) createTable(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s (id bigint PRIMARY KEY, name %[2]s, email %[2]s, born %[2]s, city text)",
		table, p.bytes))
	p.made = err == nil
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P07" { // duplicate_table
		return fmt.Errorf("there is a table %[1]s already; if an earlier run kept it, drop it with its keyring, and run this again: DROP TABLE %[1]s, %[2]s", table, keyTable)
	}
	if err != nil || p.plain != "pgx" {
		return err
	}
	return p.below(func(db *sql.DB) error {
		const missing = "SELECT to_regnamespace('colseal') IS NULL"
		if err := db.QueryRowContext(ctx, missing).Scan(&p.madeSchema); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, searchSQL)
		return err
	})
}

// below uses the database without Colseal.
func (p *place) below(use func(*sql.DB) error) error {
	db, err := sql.Open(p.plain, p.dsn)
	if err != nil {
		return err
	}
	return errors.Join(use(db), db.Close())
}

// cleanUp removes what the program made, unless it was told to keep it.
func (p *place) cleanUp(ctx context.Context, out io.Writer) error {
	if p.keep && p.made {
		fmt.Fprintf(out, "\nKept: tables %s and %s", table, keyTable)
		if p.plain == "pgx" {
			fmt.Fprint(out, ", schema colseal")
		}
		if p.folder != "" {
			fmt.Fprintf(out, ", folder %q", p.folder)
		}
		fmt.Fprintln(out)
		return nil
	}
	var err error
	if p.made && p.plain == "pgx" {
		err = p.below(func(db *sql.DB) error {
			_, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+table+", "+keyTable)
			if err == nil && p.madeSchema {
				_, err = db.ExecContext(ctx, "DROP FUNCTION IF EXISTS colseal.terms1(bytea); DROP SCHEMA colseal")
			}
			return err
		})
	}
	return errors.Join(err, os.RemoveAll(p.folder)) // RemoveAll("") removes nothing
}
