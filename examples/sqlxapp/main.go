package main

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms" // kms.Open knows localkms:// by this import
)

func openPlain(dsn string) (*sqlx.DB, error) { return sqlx.Open("pgx", dsn) }

func openSealed(dsn string, cfg driver.Config) (*sqlx.DB, error) {
	inner, err := stdlib.GetDefaultDriver().(sqldriver.DriverContext).OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Schema = tables
	sealed, err := driver.NewConnector(inner, cfg)
	if err != nil {
		return nil, err
	}
	return sqlx.NewDb(sql.OpenDB(sealed), "pgx"), nil
}

// openTraced is openSealed with tracing above and below. What is above sees the program's statements; what is below sees what is sent.
func openTraced(dsn string, cfg driver.Config, above, below []otelsql.Option) (*sqlx.DB, error) {
	inner, err := otelsql.WrapDriver(stdlib.GetDefaultDriver(), below...).(sqldriver.DriverContext).OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Schema = tables
	sealed, err := driver.NewConnector(inner, cfg)
	if err != nil {
		return nil, err
	}
	return sqlx.NewDb(otelsql.OpenDB(sealed, above...), "pgx"), nil
}

func main() {
	ward := flag.String("ward", "A", "the ward to list")
	flag.Parse()
	if err := run(context.Background(), *ward); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, ward string) error {
	key, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
	if err != nil {
		return err
	}
	db, err := openTraced(os.Getenv("DATABASE_URL"), driver.Config{KMS: key}, nil, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := Store{db}.OfWard(ctx, ward)
	for _, p := range all {
		fmt.Println(p.ID, p.Name, p.Email, p.Born.Format("2006-01-02"))
	}
	return err
}
