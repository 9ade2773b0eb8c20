package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/spf13/cobra"

	"github.com/colseal/colseal/cmd/colseal/internal/models"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
	"github.com/colseal/colseal/vet"
)

// source is where the schema comes from, as the flags say.
type source struct {
	models []string
	file   string
}

func (s *source) flags(cmd *cobra.Command) {
	s.optionalFlags(cmd)
	cmd.MarkFlagsOneRequired("models", "schema")
}

func (s *source) optionalFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.models, "models", nil, "Go packages to read the schema from, as go list takes them")
	cmd.Flags().StringVar(&s.file, "schema", "", "JSON `file` to read the schema from, as colseal schema writes it")
	cmd.MarkFlagsMutuallyExclusive("models", "schema")
}

func (s *source) load(ctx context.Context) (*schema.Schema, error) {
	if s.file == "" {
		return models.Load(ctx, "", s.models...)
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		return nil, err
	}
	return schema.ParseJSON(text)
}

// loadOrFind is load, and looks for the schema where no flag says where it is.
func (s *source) loadOrFind(ctx context.Context) (*schema.Schema, error) {
	if len(s.models) > 0 || s.file != "" {
		return s.load(ctx)
	}
	if file := vet.FindSchema(); file != "" {
		return (&source{file: file}).load(ctx)
	}
	root := vet.ModuleRoot()
	if root == "" {
		return nil, errors.New("no schema: give --models or --schema")
	}
	found, err := models.Load(ctx, root, "./...")
	if err != nil {
		return nil, fmt.Errorf("no --models and no --schema, and the module's packages do not tell: %w", err)
	}
	return found, nil
}

// dsnEnv is read where --dsn is not given: other users of the machine see a command's flags.
const dsnEnv = "DATABASE_URL"

// openDB opens a PostgreSQL database for its catalog. Nothing can be sealed or opened over it.
func openDB(dsn string, cfg driver.Config) (*sql.DB, error) {
	pg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errDSN
	}
	cfg.KMS = keyless{}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(cn), nil
}

// keyless is a key service without keys.
type keyless struct{}

var errKeyless = fmt.Errorf("%w: the colseal command uses no keys", kms.ErrUnavailable)

func (keyless) GenerateDataKey(context.Context, kms.EncryptionContext) (kms.DataKey, error) {
	return kms.DataKey{}, errKeyless
}

func (keyless) Unwrap(context.Context, kms.Wrapped, kms.EncryptionContext) ([]byte, error) {
	return nil, errKeyless
}

func (keyless) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errKeyless
}

// dialectFlag adds --dialect.
func dialectFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "dialect", "postgres", "SQL dialect: postgres or sqlite")
}
