package explain_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

var tables = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}))

func ExampleOffline() {
	e, err := explain.Offline(tables, driver.DialectPostgres, "SELECT email FROM users WHERE email = $1 AND id > $2")
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range e.Params {
		fmt.Println(p.Name, "plain:", p.Plain, "sealed for:", p.Uses)
	}
	e, err = explain.Offline(tables, driver.DialectPostgres, "SELECT id FROM users ORDER BY email")
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range e.Refused {
		fmt.Println(r.Class, r.Reason)
	}
	// Output:
	// $1 plain: false sealed for: [sealed for users.email (deterministic, text)]
	// $2 plain: true sealed for: []
	// operation ORDER BY cannot work on a sealed column
}

// open opens the database as the programs do that use it.
func open(ctx context.Context) *sql.DB {
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS")) // such as awskms:///alias/app
	if err != nil {
		log.Fatal(err)
	}
	driver.Register("pgx-colseal", driver.Config{Driver: stdlib.GetDefaultDriver(), Schema: tables, KMS: w})
	db, err := sql.Open("pgx-colseal", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	return db
}

func ExampleQuery() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	e, err := explain.Query(ctx, db, "SELECT * FROM users WHERE id = 1")
	if err != nil {
		log.Panic(err)
	}
	var opened []string
	for _, r := range e.Results {
		if len(r.Columns) > 0 {
			opened = append(opened, r.Name)
		}
	}
	fmt.Println(len(e.Results), opened) // 3 [email]
}
