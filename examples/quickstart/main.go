// Command quickstart shows Colseal at work: what a program writes and reads, and what
// the database holds meanwhile.
//
//	go run ./examples/quickstart
//
// uses an embedded SQLite file and a key encryption key in a file, both in a temporary
// folder that is removed at the end. The same program runs on PostgreSQL and AWS KMS:
//
//	go run ./examples/quickstart -dsn postgres://… -kms awskms:///alias/app
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/schema"
)

// Customer is an ordinary struct. The seal tags say which columns hold ciphertext.
type Customer struct {
	ID    int64
	Name  string    `db:"name"  seal:"random"`                   // strongest; no search
	Email string    `db:"email" seal:"deterministic,prefix=3-8"` // found by equality and by how it begins
	Born  time.Time `db:"born"  seal:"ordered,kind=date,min=1900-01-01,max=2069-12-31"`
	City  string    `db:"city"` // stays plain
}

const (
	table    = "quickstart_customers"
	keyTable = "quickstart_keys"
)

var tables = schema.Must(schema.Model(table, Customer{}))

// The first and the last customer have the same name: their sealed names differ.
var customers = []Customer{
	{1, "Ana Souza", "ana@example.com", day(1984, time.March, 9), "Lisbon"},
	{2, "Björn Ek", "bjorn@example.com", day(1991, time.November, 30), "Malmö"},
	{3, "Ana Souza", "a.souza@example.org", day(1979, time.July, 21), "Porto"},
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func main() {
	var o options
	flag.StringVar(&o.dsn, "dsn", "", "a PostgreSQL `URL`; default: a SQLite file in a temporary folder")
	flag.StringVar(&o.kms, "kms", "", "a KMS `URL`, awskms:///alias/app or localkms:///path; default: a key in a temporary folder")
	flag.BoolVar(&o.keep, "keep", false, "do not remove the folder and the tables at the end")
	flag.Parse()
	if err := quickstart(context.Background(), os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func quickstart(ctx context.Context, out io.Writer, o options) (err error) {
	p, err := prepare(ctx, out, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.cleanUp(ctx, out)) }()

	// This is the swap: the driver's name was p.plain ("sqlite" or "pgx") before.
	driver.Register("colseal", p.config)
	db, err := sql.Open("colseal", p.dsn)
	if err != nil {
		return err
	}
	defer db.Close()

	if err := p.createTable(ctx, db); err != nil {
		return err
	}
	const insert = "INSERT INTO " + table + " (id, name, email, born, city) VALUES ($1, $2, $3, $4, $5)"
	for _, c := range customers {
		if _, err := db.ExecContext(ctx, insert, c.ID, c.Name, c.Email, c.Born, c.City); err != nil {
			return err
		}
	}
	if err := sideBySide(ctx, out, db, p); err != nil {
		return err
	}
	if err := find(ctx, out, db, p); err != nil {
		return err
	}
	if err := beRefused(ctx, out, db); err != nil {
		return err
	}
	stats, _ := driver.Stats(ctx, db)
	fmt.Fprintf(out, "\nKey cache: %d hits, %d misses; %d keys made, %d in memory; %d KMS calls, %d failed.\n",
		stats.Hits, stats.Misses, stats.Created, stats.Entries, stats.KMSCalls, stats.KMSErrors)
	return nil
}

// find looks rows up by sealed columns, and sorts by one.
func find(ctx context.Context, out io.Writer, db *sql.DB, p *place) error {
	fmt.Fprintln(out, "\nSearch and sort by sealed columns:")
	begins, bjo := "email LIKE $1", "bjo%"
	if p.plain == "sqlite" {
		begins, bjo = "email GLOB $1", "bjo*" // LIKE ignores the case of letters there
	}
	searches := []struct {
		where string
		value any
	}{
		{"email = $1", "bjorn@example.com"},
		{begins, bjo},
		{"born >= $1 ORDER BY born DESC", "1980-01-01"},
	}
	for _, s := range searches {
		query := "SELECT id, name FROM " + table + " WHERE " + s.where
		rows, err := db.QueryContext(ctx, query, s.value)
		if err != nil {
			return err
		}
		var found []string
		for rows.Next() {
			var c Customer
			if err := rows.Scan(&c.ID, &c.Name); err != nil {
				return errors.Join(err, rows.Close())
			}
			found = append(found, fmt.Sprintf("%d, %s", c.ID, c.Name))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s  [%v]\n  found: %s\n", query, s.value, strings.Join(found, "; "))
	}
	return nil
}

// beRefused asks for what ciphertext cannot answer.
func beRefused(ctx context.Context, out io.Writer, db *sql.DB) error {
	const query = "SELECT id FROM " + table + " WHERE name LIKE $1"
	rows, err := db.QueryContext(ctx, query, "%Souza")
	if err == nil {
		return errors.Join(errors.New("a LIKE on a sealed column was not refused"), rows.Close())
	}
	if !errors.Is(err, driver.ErrRefused) {
		return err
	}
	fmt.Fprintf(out, "\nWhat ciphertext cannot answer is refused, before anything is sent:\n  %s\n  %v\n  hint: %s\n", query, err, colseal.Hint(err))
	return nil
}
