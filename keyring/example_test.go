package keyring_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
)

func ExampleWithScope() {
	// What a request of tenant 42 seals is under that tenant's data keys.
	ctx := keyring.WithScope(context.Background(), "tenant:42")
	fmt.Println(keyring.ScopeOf(ctx))
	// Output: tenant:42
}

func ExampleAdmin_Rotate() {
	ctx := context.Background()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL")) // not through Colseal
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	w, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS")) // such as awskms:///alias/app
	if err != nil {
		log.Panic(err)
	}

	store := keyring.OpenStore(db, keyring.DialectPostgres, "")
	if err := store.Create(ctx); err != nil {
		log.Panic(err)
	}
	admin := keyring.NewAdmin(store, w, keyring.AdminConfig{By: "ann"})
	k, err := admin.Rotate(ctx, keyring.PurposeData, "")
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(k.Epoch, k.State, k.ChangedBy) // 1 active ann
}
