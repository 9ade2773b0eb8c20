package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
	"github.com/colseal/colseal/schema"
)

// account and parcel are models as an application has them, with one tag more.
type account struct {
	bun.BaseModel `bun:"table:accounts" gorm:"-" db:"-"`
	ID            int64      `db:"id" bun:"id,pk"`
	Email         string     `db:"email" bun:"email" seal:"deterministic"`
	Secret        *string    `db:"secret" bun:"secret" seal:"random"`
	Born          *time.Time `db:"born" bun:"born" seal:"random"`
	Level         int        `db:"level" bun:"level" seal:"deterministic"`
	City          string     `db:"city" bun:"city"`
	Parcels       []parcel   `bun:"rel:has-many,join:id=account_id"`
}

func (account) TableName() string { return "accounts" }

type parcel struct {
	bun.BaseModel `bun:"table:parcels" gorm:"-" db:"-"`
	ID            int64  `db:"id" bun:"id,pk"`
	AccountID     int64  `db:"account_id" bun:"account_id"`
	Item          string `db:"item" bun:"item" seal:"random"`
}

func (parcel) TableName() string { return "parcels" }

// TestORMs runs the same program on a plaintext twin by plain pgx and through Colseal, and wants the same from both.
func TestORMs(t *testing.T) {
	programs := []struct {
		name string
		run  func(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error
	}{{"GORM", useGORM}, {"sqlx", useSQLX}, {"bun", useBun}, {"bulk", useBulk}, {"sqlc", useSQLC}, {"ent", useEnt}}
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		ddl := func(sealed string) {
			text, stamp, number := sealed, sealed, sealed
			if sealed == "" {
				text, stamp, number = "text", "timestamptz", "bigint"
			}
			mustExec(t, pg.Admin, fmt.Sprintf(`DROP TABLE IF EXISTS accounts, parcels;
				CREATE TABLE accounts (id bigint PRIMARY KEY, email %[1]s UNIQUE, secret %[1]s, born %[2]s, level %[3]s, city text);
				CREATE TABLE parcels (id bigint PRIMARY KEY, account_id bigint, item %[1]s)`, text, stamp, number))
		}
		cfg, err := pgx.ParseConfig(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		db := openSealed(t, pg.DSN(), pgx.QueryExecModeCacheStatement, driver.Config{KMS: newWrapper(t), AutoCreateKeyTable: true,
			Schema: schema.Must(schema.Model("", account{}), schema.Model("", parcel{}))})
		// A new one for each run: what the twin of a former run held stays in the server's write-ahead log.
		secret := fmt.Sprintf("zebrafish %d", rand.Uint64())
		outcomes := map[string]string{}
		for _, p := range programs { // the sealed ones first, for the wiretap finds what a twin held
			ddl("bytea")
			outcomes[p.name] = ormOutcome(t, db, newAccounts(secret), p.run)
		}
		wiretap.Check(t, pg.Admin, wiretap.Text("secret", secret))
		twin := sql.OpenDB(stdlib.GetConnector(*cfg))
		defer func() { _ = twin.Close() }()
		for _, p := range programs {
			ddl("")
			if want := ormOutcome(t, twin, newAccounts(secret), p.run); outcomes[p.name] != want {
				t.Errorf("%s: got\n%s\nwant, as the twin\n%s", p.name, outcomes[p.name], want)
			}
		}
	}, pgtest.Logged())
}

// ormOutcome is what a program says, and how it ended.
func ormOutcome(t *testing.T, db *sql.DB, accounts []account,
	run func(context.Context, *sql.DB, []account, func(...any)) error) string {
	t.Helper()
	out := ""
	err := run(t.Context(), db, accounts, func(v ...any) {
		for i := range v {
			if err, ok := v[i].(error); ok {
				v[i] = err.Error()
			}
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out += string(b) + "\n"
	})
	if err != nil {
		t.Fatalf("after\n%s%v", out, err)
	}
	return out
}

// newAccounts are what a program begins with.
func newAccounts(secret string) []account {
	born := time.Date(1984, 2, 29, 12, 0, 0, 123456000, time.UTC)
	return []account{
		{ID: 1, Email: "a@x", Secret: &secret, Born: &born, Level: 3, City: "Köln", Parcels: []parcel{{ID: 1, Item: "book"}, {ID: 2, Item: "o'lamp"}}},
		{ID: 2, Email: "b@x", Level: 0, City: "Łódź"},
		{ID: 3, Email: "", Secret: ptr(""), Level: -3, City: "", Parcels: []parcel{{ID: 3}}},
	}
}

func utc(all ...account) []account {
	for i := range all {
		if all[i].Born != nil {
			at := all[i].Born.UTC()
			all[i].Born = &at
		}
	}
	return all
}

func useGORM(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error {
	base, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{Logger: logger.Discard, TranslateError: true})
	if err != nil {
		return err
	}
	g := base.WithContext(ctx)
	var errs []error
	did := func(what string, tx *gorm.DB) {
		say(what, tx.RowsAffected)
		if tx.Error != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, tx.Error))
		}
	}
	find := func(what string, tx *gorm.DB) {
		var all []account
		did(what, tx.Order("accounts.id").Find(&all))
		say(utc(all...))
	}
	did("create with associations", g.Create(&accounts))
	var one account
	did("first", g.First(&one, 1))
	say(utc(one))
	find("where string", g.Where("email = ?", "a@x"))
	find("where IN", g.Where("email IN ?", []string{"a@x", "b@x"}))
	find("where struct", g.Where(&account{Email: "a@x", Level: 3}))
	find("where map", g.Where(map[string]any{"email": "b@x", "level": 0}))
	find("where named", g.Where("email = @email OR level = @level", sql.Named("email", "a@x"), sql.Named("level", -3)))
	find("not", g.Not(&account{Email: "a@x"}))
	find("or", g.Where("email = ?", "a@x").Or("email = ?", ""))
	find("null", g.Where("secret IS NULL"))
	find("preload", g.Preload("Parcels", func(tx *gorm.DB) *gorm.DB { return tx.Order("id") }))
	find("join", g.Joins("JOIN parcels ON parcels.account_id = accounts.id").Where("accounts.email = ?", "a@x").Distinct("accounts.id", "accounts.email"))
	did("updates struct", g.Model(&account{ID: 2}).Updates(account{Secret: ptr("s"), Level: 5}))
	did("updates map", g.Model(&account{}).Where("email = ?", "b@x").Updates(map[string]any{"secret": nil, "level": 6, "city": "Gdańsk"}))
	did("update column", g.Model(&account{ID: 3}).Update("email", "c@x"))
	one.Secret, one.Level = ptr("changed"), 7
	did("save", g.Save(&one))
	did("upsert", g.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns([]string{"email", "level"})}).
		Create(&account{ID: 3, Email: "cc@x", Level: 9}))
	did("upsert all", g.Clauses(clause.OnConflict{UpdateAll: true}).Create(&account{ID: 4, Email: "d@x", Level: 9}))
	did("do nothing", g.Clauses(clause.OnConflict{DoNothing: true}).Create(&account{ID: 4, Email: "e@x"}))
	find("after writes", g.Preload("Parcels"))
	say("duplicate", errors.Is(g.Create(&account{ID: 9, Email: "a@x"}).Error, gorm.ErrDuplicatedKey))
	say("transaction", g.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&account{ID: 5, Email: "e@x"}).Error; err != nil {
			return err
		}
		_ = tx.Transaction(func(inner *gorm.DB) error { // a savepoint
			return errors.Join(inner.Create(&account{ID: 6, Email: "f@x"}).Error, errors.New("no"))
		})
		return tx.Model(&account{}).Where("email = ?", "e@x").Update("secret", "in tx").Error
	}))
	var emails []string
	did("pluck", g.Model(&account{}).Order("id").Pluck("email", &emails))
	var count int64
	did("count", g.Model(&account{}).Where("email = ?", "a@x").Count(&count))
	say(emails, count)
	found := account{ID: 7, City: "Ōsaka"}
	did("first or create", g.Where(account{Email: "g@x"}).FirstOrCreate(&found))
	var returned []account
	did("delete returning", g.Clauses(clause.Returning{}).Where("email = ?", "b@x").Delete(&returned))
	say(utc(returned...))
	did("raw", g.Raw("SELECT * FROM accounts WHERE email = ?", "a@x").Scan(&one))
	say(utc(one))
	find("at the end", g.Session(&gorm.Session{PrepareStmt: true}))
	return errors.Join(errs...)
}

func useSQLX(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error {
	x := sqlx.NewDb(db, "pgx")
	for _, a := range accounts {
		if _, err := x.NamedExecContext(ctx, `INSERT INTO accounts (id, email, secret, born, level, city)
			VALUES (:id, :email, :secret, :born, :level, :city)`, a); err != nil {
			return err
		}
	}
	var one account
	if err := x.GetContext(ctx, &one, "SELECT * FROM accounts WHERE email = $1", "a@x"); err != nil {
		return err
	}
	say(utc(one))
	var all []account
	query, args, err := sqlx.In("SELECT * FROM accounts WHERE email IN (?) AND level IN (?) ORDER BY id", []string{"a@x", "b@x", ""}, []int{3, -3})
	if err != nil {
		return err
	}
	if err := x.SelectContext(ctx, &all, x.Rebind(query), args...); err != nil {
		return err
	}
	say(utc(all...))
	rows, err := x.NamedQueryContext(ctx, "SELECT * FROM accounts WHERE email = :email", map[string]any{"email": "b@x"})
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		m := map[string]any{}
		if err := rows.MapScan(m); err != nil {
			return err
		}
		say(m)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	st, err := x.PrepareNamedContext(ctx, "UPDATE accounts SET secret = :secret, level = :level WHERE email = :email RETURNING id, secret")
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	var got account
	if err := st.GetContext(ctx, &got, map[string]any{"secret": "new", "level": 8, "email": "b@x"}); err != nil {
		return err
	}
	say(got)
	tx, err := x.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.NamedExecContext(ctx, "DELETE FROM accounts WHERE email = :email", one)
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return err
	}
	all = nil
	err = x.SelectContext(ctx, &all, "SELECT * FROM accounts ORDER BY id")
	say(utc(all...))
	return err
}

// useBun: bun writes arguments into the statement's text, so that all of them are literals.
func useBun(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error {
	b := bun.NewDB(db, pgdialect.New())
	if _, err := b.NewInsert().Model(&accounts).Exec(ctx); err != nil {
		return err
	}
	for _, a := range accounts {
		for _, p := range a.Parcels {
			p.AccountID = a.ID
			if _, err := b.NewInsert().Model(&p).Exec(ctx); err != nil {
				return err
			}
		}
	}
	var all []account
	if err := b.NewSelect().Model(&all).Where("email IN (?)", bun.List([]string{"a@x", "", "it's"})).Relation("Parcels").Order("account.id").Scan(ctx); err != nil {
		return err
	}
	say(utc(all...))
	one := all[0]
	one.Secret, one.Level = ptr(`back\slash 'quote' $1 ?`), -1
	if _, err := b.NewUpdate().Model(&one).WherePK().Exec(ctx); err != nil {
		return err
	}
	if _, err := b.NewUpdate().Model((*account)(nil)).Set("secret = ?", "all").Where("email = ?", "b@x").Exec(ctx); err != nil {
		return err
	}
	upsert := account{ID: 2, Email: "bb@x", City: "Brno"}
	if _, err := b.NewInsert().Model(&upsert).On("CONFLICT (id) DO UPDATE").Set("email = EXCLUDED.email").Returning("*").Exec(ctx); err != nil {
		return err
	}
	say(upsert)
	if _, err := b.NewDelete().Model((*account)(nil)).Where("email = ?", "").Exec(ctx); err != nil {
		return err
	}
	err := b.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		n, err := tx.NewSelect().Model((*account)(nil)).Where("level = ?", -1).Count(ctx)
		say(n)
		return err
	})
	if err != nil {
		return err
	}
	all = nil
	err = b.NewSelect().Model(&all).Order("id").Scan(ctx)
	say(utc(all...))
	return err
}
