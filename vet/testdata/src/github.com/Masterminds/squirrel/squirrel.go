// Package squirrel has as much of squirrel as the tests need.
package squirrel

import "database/sql"

type (
	Sqlizer    interface{ ToSql() (string, []any, error) }
	BaseRunner interface {
		Exec(string, ...any) (sql.Result, error)
	}
	PlaceholderFormat    interface{ ReplacePlaceholders(string) (string, error) }
	Eq                   map[string]any
	Or                   []Sqlizer
	dollar               struct{}
	SelectBuilder        struct{}
	InsertBuilder        struct{}
	UpdateBuilder        struct{}
	StatementBuilderType struct{}
	expr                 struct{ Sqlizer }
)

var (
	Dollar           dollar
	StatementBuilder StatementBuilderType
)

func (dollar) ReplacePlaceholders(s string) (string, error) { return s, nil }
func (Eq) ToSql() (string, []any, error)                    { return "", nil, nil }
func (Or) ToSql() (string, []any, error)                    { return "", nil, nil }
func Expr(string, ...any) Sqlizer                           { return expr{} }

func (b StatementBuilderType) PlaceholderFormat(PlaceholderFormat) StatementBuilderType { return b }
func (StatementBuilderType) Select(...string) SelectBuilder                             { return SelectBuilder{} }
func (StatementBuilderType) Insert(string) InsertBuilder                                { return InsertBuilder{} }
func (StatementBuilderType) Update(string) UpdateBuilder                                { return UpdateBuilder{} }

func (b SelectBuilder) From(string) SelectBuilder        { return b }
func (b SelectBuilder) Where(any, ...any) SelectBuilder  { return b }
func (b SelectBuilder) OrderBy(...string) SelectBuilder  { return b }
func (b SelectBuilder) Limit(uint64) SelectBuilder       { return b }
func (b SelectBuilder) RunWith(BaseRunner) SelectBuilder { return b }
func (b SelectBuilder) Query() (*sql.Rows, error)        { return nil, nil }
func (b SelectBuilder) ToSql() (string, []any, error)    { return "", nil, nil }

func (b InsertBuilder) Columns(...string) InsertBuilder { return b }
func (b InsertBuilder) Values(...any) InsertBuilder     { return b }
func (b InsertBuilder) ToSql() (string, []any, error)   { return "", nil, nil }

func (b UpdateBuilder) Set(string, any) UpdateBuilder   { return b }
func (b UpdateBuilder) Where(any, ...any) UpdateBuilder { return b }
func (b UpdateBuilder) ToSql() (string, []any, error)   { return "", nil, nil }
