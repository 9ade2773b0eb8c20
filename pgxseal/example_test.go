package pgxseal_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

type User struct {
	ID    int64
	Email string `db:"email" seal:"deterministic"`
	Notes string `db:"notes" seal:"random"`
}

var tables = schema.Must(schema.Model("users", User{}))

func ExampleNew() {
	ctx := context.Background()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS")) // such as awskms:///alias/app
	if err != nil {
		log.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxseal.New(ctx, config, driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	b := &pgx.Batch{}
	b.Queue("INSERT INTO users (id, email, notes) VALUES ($1, $2, $3)", 1, "ana@example.com", "likes tea")
	b.Queue("INSERT INTO users (id, email, notes) VALUES ($1, $2, $3)", 2, "bo@example.com", "likes coffee")
	if err := pool.SendBatch(ctx, b).Close(); err != nil {
		log.Panic(err)
	}
	rows, err := pool.Query(ctx, "SELECT id, email, notes FROM users ORDER BY id")
	if err != nil {
		log.Panic(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[User])
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(len(all), all[1].Notes) // 2 likes coffee
}

func ExampleConnect() {
	ctx := context.Background()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pgxseal.Connect(ctx, os.Getenv("DATABASE_URL"), driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)

	n, err := conn.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "email", "notes"},
		pgx.CopyFromRows([][]any{{1, "ana@example.com", "likes tea"}, {2, "bo@example.com", nil}}))
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(n) // 2
}
