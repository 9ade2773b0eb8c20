package dbcheck_test

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
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/schema"
)

// open opens the database as the programs do that use it.
func open(ctx context.Context) *sql.DB {
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS")) // such as awskms:///alias/app
	if err != nil {
		log.Fatal(err)
	}
	driver.Register("pgx-colseal", driver.Config{
		Driver:             stdlib.GetDefaultDriver(),
		Schema:             schema.Must(schema.Columns("users", schema.Column{Name: "notes"})),
		KMS:                w,
		AutoCreateKeyTable: true,
	})
	db, err := sql.Open("pgx-colseal", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	return db
}

func ExampleRun() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	findings, err := dbcheck.Run(ctx, db)
	if err != nil {
		log.Panic(err)
	}
	for _, f := range findings {
		fmt.Println(f.Severity, f.Rule, f.Where()) // warning no-check users.notes (colseal_notes_check)
	}
}

func ExampleSystem() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
	if err != nil {
		log.Panic(err)
	}
	findings, err := dbcheck.System(ctx, db, dbcheck.Options{KMS: w})
	if err != nil {
		log.Panic(err)
	}
	dangers := 0
	for _, f := range findings {
		if f.Severity == dbcheck.SeverityDanger {
			dangers++
		}
	}
	fmt.Println(dangers, "dangers") // 0 dangers
}
