package keycache_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func ExampleConfig() {
	cfg := driver.Config{
		Keys: keycache.Config{
			RotateEvery: 7 * 24 * time.Hour, // default 30 days
			MaxAge:      5 * time.Minute,    // how long a revoked key goes on serving
			MaxStale:    -1,                 // not past MaxAge while KMS is away
		},
	}
	fmt.Println(cfg.Keys.MaxAge)
	// Output: 5m0s
}

func ExampleStats() {
	ctx := context.Background()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
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
	defer db.Close()
	for id := range 3 {
		if _, err := db.ExecContext(ctx, "INSERT INTO users (id, notes) VALUES ($1, $2)", id, "likes tea"); err != nil {
			log.Panic(err)
		}
	}
	s, err := driver.Stats(ctx, db)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(s.Created, s.KMSCalls) // 1 1
}
