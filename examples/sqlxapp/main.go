package main

import (
	"context"
	sqldriver "database/sql/driver"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms" // kms.Open knows localkms:// by this import
	"github.com/colseal/colseal/schema"
)

func openPlain(dsn string) (*sqlx.DB, error) { return sqlx.Open("pgx", dsn) }

// openSealed opens the database with tracing above and below Colseal. What is above sees the
// program's statements; what is below sees what is sent.
func openSealed(dsn string, cfg driver.Config, above, below []otelsql.Option) (*sqlx.DB, error) {
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

// in is a stage for all columns, whatever their tags say.
func in(stage schema.Stage) map[string]schema.Stage {
	return map[string]schema.Stage{"patients": stage}
}

func main() {
	ward := flag.String("ward", "A", "the ward to list")
	stage := flag.String("stage", schema.StageCopy.String(), "the stage of the sealed columns")
	flag.Parse()
	if err := run(context.Background(), *ward, *stage); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, ward, stage string) error {
	key, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
	if err != nil {
		return err
	}
	at, ok := schema.ParseStage(stage)
	if !ok {
		return fmt.Errorf("there is no stage %q", stage)
	}
	db, err := openSealed(os.Getenv("DATABASE_URL"), driver.Config{KMS: key, Stages: in(at), Logger: slog.Default()}, nil, nil)
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
