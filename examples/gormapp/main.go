package main

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms" // kms.Open knows localkms:// by this import
	"github.com/colseal/colseal/schema"
)

func openPlain(dsn string) (*gorm.DB, error) { return gorm.Open(postgres.Open(dsn)) }

func openSealed(dsn string, cfg driver.Config) (*gorm.DB, error) {
	inner, err := stdlib.GetDefaultDriver().(sqldriver.DriverContext).OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	cfg.Schema = tables
	sealed, err := driver.NewConnector(inner, cfg)
	if err != nil {
		return nil, err
	}
	return gorm.Open(postgres.New(postgres.Config{Conn: sql.OpenDB(sealed)}))
}

// in is a stage for all columns, whatever their tags say.
func in(stage schema.Stage) map[string]schema.Stage {
	return map[string]schema.Stage{"customers": stage, "notes": stage}
}

func main() {
	city := flag.String("city", "Bergen", "the city whose customers are listed")
	stage := flag.String("stage", schema.StageCopy.String(), "the stage of the sealed columns")
	flag.Parse()
	if err := run(context.Background(), *city, *stage); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, city, stage string) error {
	key, err := kms.Open(ctx, os.Getenv("COLSEAL_KMS"))
	if err != nil {
		return err
	}
	at, ok := schema.ParseStage(stage)
	if !ok {
		return fmt.Errorf("there is no stage %q", stage)
	}
	db, err := openSealed(os.Getenv("DATABASE_URL"), driver.Config{KMS: key, Stages: in(at), Logger: slog.Default()})
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	defer pool.Close()
	s := Store{db}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	all, err := s.InCity(ctx, city)
	for _, c := range all {
		fmt.Println(c.ID, c.Name, c.Email, c.Born.Format("2006-01-02"), len(c.Notes))
	}
	return err
}
