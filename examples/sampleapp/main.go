// Command sampleapp is a small application over sealed columns, for `colseal` to be tried on.
//
//	psql -f schema.sql "$DATABASE_URL"
//	go run . "$DATABASE_URL" localkms:///tmp/sampleapp.kek
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/examples/sampleapp/models"
	"github.com/colseal/colseal/examples/sampleapp/store"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms" // for localkms:// addresses
	"github.com/colseal/colseal/schema"
)

var tables = schema.Must(schema.Model("", models.Customer{}), schema.Model("", models.Subscriber{}))

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: sampleapp DSN KMS-URL")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn, kmsURL string) (err error) {
	wrapper, err := kms.Open(ctx, kmsURL)
	if err != nil {
		return err
	}
	driver.Register("pgx-colseal", driver.Config{
		Driver: stdlib.GetDefaultDriver(), Schema: tables, KMS: wrapper, AutoCreateKeyTable: true,
	})
	db, err := sql.Open("pgx-colseal", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing is left to be written
	s := store.Store{DB: db}
	ssn := "078-05-1120"
	if _, err := s.Add(ctx, models.Customer{Email: "alice@example.com", SSN: &ssn, Born: time.Date(1980, 5, 1, 0, 0, 0, 0, time.UTC), Country: "NO"}); err != nil {
		return err
	}
	if err := s.Subscribe(ctx, "alice@example.com"); err != nil {
		return err
	}
	c, err := s.ByEmail(ctx, "alice@example.com")
	if err != nil {
		return err
	}
	fmt.Printf("customer %d: %s, born %s\n", c.ID, c.Email, c.Born.Format(time.DateOnly))
	emails, err := s.Subscribed(ctx, "NO")
	fmt.Println("newsletter:", emails)
	return err
}
