package driver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

type User struct {
	ID    int64
	Email string `db:"email" seal:"deterministic"`
	Notes string `db:"notes" seal:"random"`
}

var tables = schema.Must(schema.Model("users", User{}))

func ExampleRegister() {
	ctx := context.Background()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS")) // such as awskms:///alias/app
	if err != nil {
		log.Fatal(err)
	}
	driver.Register("pgx-colseal", driver.Config{Driver: stdlib.GetDefaultDriver(), Schema: tables, KMS: w, AutoCreateKeyTable: true})
	db, err := sql.Open("pgx-colseal", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	_, err = db.ExecContext(ctx, "INSERT INTO users (id, email, notes) VALUES ($1, $2, $3)", 1, "ana@example.com", "likes tea")
	if err != nil {
		log.Panic(err)
	}
	var notes string
	err = db.QueryRowContext(ctx, "SELECT notes FROM users WHERE email = $1", "ana@example.com").Scan(&notes)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(notes) // likes tea
}

func ExampleNewConnector() {
	ctx := context.Background()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
	if err != nil {
		log.Fatal(err)
	}
	plain, err := stdlib.GetDefaultDriver().(*stdlib.Driver).OpenConnector(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := driver.NewConnector(plain, driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true})
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(sealed)
	defer db.Close()

	_, err = db.ExecContext(ctx, "UPDATE users SET notes = upper(notes)")
	var refused *driver.QueryError
	if errors.As(err, &refused) {
		fmt.Println(refused.Class, refused.Table, refused.Column) // operation users notes
	}
}
