package leak_test

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
	"github.com/colseal/colseal/ops/leak"
	"github.com/colseal/colseal/schema"
)

// open opens the database as the programs do that use it, and stores three rows.
func open(ctx context.Context) *sql.DB {
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS")) // such as awskms:///alias/app
	if err != nil {
		log.Fatal(err)
	}
	driver.Register("pgx-colseal", driver.Config{
		Driver:             stdlib.GetDefaultDriver(),
		Schema:             schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "notes"})),
		KMS:                w,
		AutoCreateKeyTable: true,
	})
	db, err := sql.Open("pgx-colseal", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	for id, email := range []string{"ana@example.com", "bo@example.com", "ana@example.com"} {
		if _, err := db.ExecContext(ctx, "INSERT INTO users (id, email, notes) VALUES ($1, $2, $3)", id, email, "likes tea"); err != nil {
			log.Fatal(err)
		}
	}
	return db
}

func ExampleColumn() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	r, err := leak.Column(ctx, db, "users.email", leak.Options{})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(r.Rows, r.Cells, r.Repeated) // 3 2 2
}

func ExampleColumn_randomized() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	r, err := leak.Column(ctx, db, "users.notes", leak.Options{})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(r.Rows, r.Cells, len(r.Attacks)) // 3 3 0
}
