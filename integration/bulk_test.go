package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// everything says what both tables hold.
func everything(ctx context.Context, db *sql.DB, say func(...any)) error {
	var all []account
	err := sqlx.NewDb(db, "pgx").SelectContext(ctx, &all, "SELECT * FROM accounts ORDER BY id")
	say(utc(all...))
	return err
}

// useBulk writes many rows at once by the helpers that the libraries have for it.
func useBulk(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error {
	const insert = `INSERT INTO accounts (id, email, secret, born, level, city) VALUES (:id, :email, :secret, :born, :level, :city)`
	x := sqlx.NewDb(db, "pgx")
	_, err1 := x.NamedExecContext(ctx, insert, accounts)
	_, err2 := x.NamedExecContext(ctx, insert+" ON CONFLICT (id) DO UPDATE SET secret = EXCLUDED.secret", []map[string]any{
		{"id": 3, "email": "3@x", "secret": "three", "born": nil, "level": 1, "city": "a"},
		{"id": 14, "email": "14@x", "secret": nil, "born": accounts[0].Born, "level": -1, "city": "b"}})
	if err := errors.Join(err1, err2, everything(ctx, db, say)); err != nil {
		return fmt.Errorf("sqlx: %w", err)
	}
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	var many []account
	for i := range 25 {
		many = append(many, account{ID: int64(100 + i), Email: fmt.Sprint(i, "@y"), Secret: ptr(fmt.Sprint("secret ", i)), Level: i, City: "Æ"})
	}
	tx := g.WithContext(ctx).CreateInBatches(many, 10)
	say("CreateInBatches", tx.RowsAffected)
	for i := range many {
		many[i].Secret, many[i].Level = nil, -i
	}
	err1 = g.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(many, 20).Error
	if err := errors.Join(tx.Error, err1, everything(ctx, db, say)); err != nil {
		return fmt.Errorf("GORM: %w", err)
	}
	b := bun.NewDB(db, pgdialect.New())
	for i := range many {
		many[i].ID, many[i].Email = many[i].ID+100, "bun "+many[i].Email
	}
	_, err1 = b.NewInsert().Model(&many).Exec(ctx)
	_, err2 = b.NewDelete().Model((*account)(nil)).Where("email IN (?)", bun.List([]string{"bun 3@y", "3@y"})).Exec(ctx)
	return errors.Join(err1, err2, everything(ctx, db, say))
}
