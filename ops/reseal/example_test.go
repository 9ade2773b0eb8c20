package reseal_test

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
	"github.com/colseal/colseal/ops/reseal"
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
	report, err := reseal.Run(ctx, db, reseal.Options{Columns: []string{"users.notes"}, RowsPerSecond: 1000})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(report.Rows, report.Resealed, report.Left()) // 0 0 0
}

func ExampleUsage() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	for id := range 3 {
		if _, err := db.ExecContext(ctx, "INSERT INTO users (id, notes) VALUES ($1, $2)", id, "likes tea"); err != nil {
			log.Panic(err)
		}
	}
	uses, err := reseal.Usage(ctx, db, "users")
	if err != nil {
		log.Panic(err)
	}
	for _, u := range uses {
		fmt.Println(u.Table, u.Column, u.Cells, u.State) // users notes 3 current
	}
}
