// Package shapes puts SQL together in the ways in which programs do. Each function is one; a test judges the package by package
// vet, runs each function, and compares.
package shapes

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
	"gorm.io/gorm"

	"github.com/colseal/colseal/integration/vet/shapes/queries"
)

// Env is what a shape sends its SQL by.
type Env struct {
	DB   *sql.DB
	SQLX *sqlx.DB
	GORM *gorm.DB
	Flag bool // each shape runs with and without
}

// All are the shapes, by their names.
var All = map[string]func(context.Context, *Env) error{
	"HelperOfAnotherPackage": HelperOfAnotherPackage, "HelperRefused": HelperRefused, "PartsOfAnotherPackage": PartsOfAnotherPackage,
	"PartsRefused": PartsRefused, "ConstantRefused": ConstantRefused, "ConstantFine": ConstantFine, "FileOfAnotherPackage": FileOfAnotherPackage,
	"FunctionRefused": FunctionRefused, "EmbeddedFine": EmbeddedFine, "EmbeddedRefused": EmbeddedRefused, "TreeRefused": TreeRefused,
	"AppendedFine": AppendedFine, "AppendedRefused": AppendedRefused, "AppendedInLoop": AppendedInLoop, "Builder": Builder,
	"SprintfRefused": SprintfRefused, "SprintfOpen": SprintfOpen, "SprintfNumber": SprintfNumber, "SprintfConstant": SprintfConstant,
	"SquirrelFine": SquirrelFine, "SquirrelRefused": SquirrelRefused, "SquirrelOpen": SquirrelOpen, "SQLX": SQLX, "SQLXRefused": SQLXRefused,
	"GORMRaw": GORMRaw, "GORMBuilt": GORMBuilt, "FromMap": FromMap, "Parameter": Parameter,
}

func (e *Env) query(ctx context.Context, text string, args ...any) error {
	rows, err := e.DB.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}

// HelperOfAnotherPackage is fine.
func HelperOfAnotherPackage(ctx context.Context, e *Env) error {
	return queries.Run(ctx, e.DB, "SELECT id FROM vet_people WHERE email = $1", "x")
}

// HelperRefused is not.
func HelperRefused(ctx context.Context, e *Env) error {
	return queries.Run(ctx, e.DB, "SELECT id FROM vet_people WHERE lower(email) = $1", "x")
}

// PartsOfAnotherPackage gives parts of a text.
func PartsOfAnotherPackage(ctx context.Context, e *Env) error {
	return queries.Sorted(ctx, e.DB, "id", "note")
}

// PartsRefused gives a part that is refused in its place.
func PartsRefused(ctx context.Context, e *Env) error {
	return queries.Sorted(ctx, e.DB, "id", "ssn")
}

// ConstantFine sends another package's constant.
func ConstantFine(ctx context.Context, e *Env) error { return e.query(ctx, queries.ByNote, "x") }

// ConstantRefused does, too.
func ConstantRefused(ctx context.Context, e *Env) error { return e.query(ctx, queries.BySSN, "x") }

// FileOfAnotherPackage sends another package's file.
func FileOfAnotherPackage(ctx context.Context, e *Env) error { return e.query(ctx, queries.Longest) }

// FunctionRefused sends what another package's function returns.
func FunctionRefused(ctx context.Context, e *Env) error { return e.query(ctx, queries.Oldest()) }

//go:embed sql/by_email.sql
var byEmail string

//go:embed sql/by_ssn.sql
var bySSN string

//go:embed sql
var tree embed.FS

// EmbeddedFine sends a file.
func EmbeddedFine(ctx context.Context, e *Env) error { return e.query(ctx, byEmail, "x") }

// EmbeddedRefused sends a file that is refused.
func EmbeddedRefused(ctx context.Context, e *Env) error { return e.query(ctx, bySSN) }

// TreeRefused reads one out of a tree.
func TreeRefused(ctx context.Context, e *Env) error {
	text, err := tree.ReadFile("sql/by_ssn.sql")
	if err != nil {
		return err
	}
	return e.query(ctx, string(text))
}

// AppendedFine appends.
func AppendedFine(ctx context.Context, e *Env) error {
	q := "SELECT id FROM vet_people WHERE email = $1"
	if e.Flag {
		q += " AND ssn IS NOT NULL"
	}
	q += " ORDER BY id"
	return e.query(ctx, q, "x")
}

// AppendedRefused appends, at times, what is refused.
func AppendedRefused(ctx context.Context, e *Env) error {
	q := "SELECT id FROM vet_people WHERE email = $1"
	if e.Flag {
		q += " ORDER BY ssn"
	} else {
		q += " ORDER BY note"
	}
	return e.query(ctx, q, "x")
}

// AppendedInLoop is not judged.
func AppendedInLoop(ctx context.Context, e *Env) error {
	q := "SELECT id FROM vet_people WHERE id IN (0"
	for i := range 3 {
		q += "," + strconv.Itoa(i)
	}
	return e.query(ctx, q+")")
}

// Builder writes into a strings.Builder.
func Builder(ctx context.Context, e *Env) error {
	var b strings.Builder
	b.WriteString("SELECT id FROM vet_people")
	if e.Flag {
		fmt.Fprintf(&b, " WHERE %s LIKE 'x'", "email")
	}
	return e.query(ctx, b.String())
}

func column() string {
	if os.Getenv("COLSEAL_VET_SHAPES") != "" {
		return "note"
	}
	return "id"
}

// SprintfRefused is refused by its constant parts.
func SprintfRefused(ctx context.Context, e *Env) error {
	return e.query(ctx, fmt.Sprintf("SELECT id FROM vet_people WHERE ssn = $1 ORDER BY %s", column()), "x")
}

// SprintfOpen hangs on what is not constant.
func SprintfOpen(ctx context.Context, e *Env) error {
	return e.query(ctx, fmt.Sprintf("SELECT id FROM vet_people WHERE email = $1 ORDER BY %s", column()), "x")
}

// SprintfNumber has a number in it.
func SprintfNumber(ctx context.Context, e *Env) error {
	return e.query(ctx, fmt.Sprintf("SELECT id FROM vet_people WHERE email = $1 LIMIT %d", len(column())), "x")
}

// SprintfConstant is all constant.
func SprintfConstant(ctx context.Context, e *Env) error {
	return e.query(ctx, fmt.Sprintf("SELECT %s FROM %s ORDER BY %s", "id", "vet_people", "email"))
}

var build = sq.StatementBuilder.PlaceholderFormat(sq.Dollar)

// SquirrelFine is fine.
func SquirrelFine(ctx context.Context, e *Env) error {
	rows, err := build.Select("id").From("vet_people").Where(sq.Eq{"email": []string{"a", "b"}}).RunWith(e.DB).QueryContext(ctx)
	if err != nil {
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}

// SquirrelRefused is not.
func SquirrelRefused(ctx context.Context, e *Env) error {
	text, args, err := build.Select("id").From("vet_people").Where("ssn = ?", "x").ToSql()
	if err != nil {
		return err
	}
	return e.query(ctx, text, args...)
}

// SquirrelOpen is not judged.
func SquirrelOpen(ctx context.Context, e *Env) error {
	rows, err := build.Select("id").From("vet_people").OrderBy(column()).RunWith(e.DB).QueryContext(ctx)
	if err != nil {
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}

// SQLX is fine.
func SQLX(ctx context.Context, e *Env) error {
	var ids []int64
	return e.SQLX.SelectContext(ctx, &ids, e.SQLX.Rebind("SELECT id FROM vet_people WHERE email = ?"), "x")
}

// SQLXRefused is not.
func SQLXRefused(ctx context.Context, e *Env) error {
	_, err := e.SQLX.NamedExecContext(ctx, "UPDATE vet_people SET note = ssn WHERE id = :id", map[string]any{"id": 1})
	return err
}

// GORMRaw is refused.
func GORMRaw(ctx context.Context, e *Env) error {
	var ids []int64
	return e.GORM.WithContext(ctx).Raw("SELECT id FROM vet_people WHERE ssn = ?", "x").Scan(&ids).Error
}

// GORMBuilt is not judged.
func GORMBuilt(ctx context.Context, e *Env) error {
	var ids []int64
	return e.GORM.WithContext(ctx).Table("vet_people").Where("email = ?", "x").Pluck("id", &ids).Error
}

var byName = map[string]string{"bad": "SELECT max(ssn) FROM vet_people", "good": "SELECT count(ssn) FROM vet_people"}

// FromMap is not judged.
func FromMap(ctx context.Context, e *Env) error {
	if e.Flag {
		return e.query(ctx, byName["bad"])
	}
	return e.query(ctx, byName["good"])
}

// Parameter gives a parameter of its own on.
func Parameter(ctx context.Context, e *Env) error { return ordered(ctx, e, "id") }

func ordered(ctx context.Context, e *Env, by string) error {
	return e.query(ctx, "SELECT id FROM vet_people ORDER BY "+by)
}
