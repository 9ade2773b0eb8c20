package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/migrate"
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
		Schema:             schema.Must(schema.Columns("users", schema.Column{Name: "notes", Kind: schema.KindBytes, Stage: schema.StageCopy})),
		KMS:                w,
		AutoCreateKeyTable: true,
	})
	db, err := sql.Open("pgx-colseal", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	return db
}

func ExampleSeal() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	if _, err := db.ExecContext(ctx, "INSERT INTO users (id, notes) VALUES ($1, $2)", 1, []byte("likes tea")); err != nil {
		log.Panic(err)
	}
	// Programs stay in the stage copy. Then they go to sealed, after another Seal for migrate.ReadySealed.
	report, err := migrate.Seal(ctx, db, migrate.Options{Columns: []string{"users.notes"}, For: migrate.ReadyCopy, MaxBatch: 50 * time.Millisecond})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(report.Sealed, report.Unfit) // 1 0
}

func ExampleStatus() {
	ctx := context.Background()
	db := open(ctx) // through Colseal
	defer db.Close()
	columns, err := migrate.Status(ctx, db)
	if err != nil {
		log.Panic(err)
	}
	for _, c := range columns {
		fmt.Println(c.Table, c.Column, c.Ready, c.Done) // users notes plain true
	}
}
