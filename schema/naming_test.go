package schema

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx/reflectx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"
	bunschema "github.com/uptrace/bun/schema"
	gormschema "gorm.io/gorm/schema"
)

func TestSnakeCase(t *testing.T) {
	for field, want := range map[string]string{
		"ID": "id", "UserID": "user_id", "HTTPServer": "http_server", "SSN": "ssn", "APIKey": "api_key", "Email": "email", "A": "a", "AB": "ab",
		"FirstName": "first_name", "HTTPSURL": "http_s_url", "UUID": "uuid", "OAuth2Token": "o_auth2_token", "SSNHash": "ssn_hash", "Line1": "line1",
		"Snake_Case": "snake_case", "already_snake": "already_snake", "IBAN": "iban", "IBANCode": "iban_code", "Größe": "größe", "": "",
	} {
		if got := SnakeCase(field); got != want {
			t.Errorf("SnakeCase(%q) = %q, want %q", field, got, want)
		}
	}
}

// gormName is what GORM itself makes of a field's name.
func gormName(field string) string {
	return gormschema.NamingStrategy{}.ColumnName("", field)
}

// TestSnakeCaseAgreesWithGORM tries names that random words, initialisms,
// digits and underscores make up.
func TestSnakeCaseAgreesWithGORM(t *testing.T) {
	words := append(slices.Clone(initialisms), "User", "Name", "Email", "SSN", "IBAN", "OAuth", "A", "B", "1", "2", "10", "_", "x", "iOS", "Server", "Key", "Of", "V2", "Größe")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var name string
		for range 1 + rng.IntN(5) {
			name += words[rng.IntN(len(words))]
		}
		if got, want := SnakeCase(name), gormName(name); got != want {
			t.Fatalf("SnakeCase(%q) = %q, GORM says %q", name, got, want)
		}
	}
}

func FuzzSnakeCase(f *testing.F) {
	for _, s := range []string{"UserID", "HTTPServer", "SSN", "a_B", "ÄB1", "UTF8ID"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := SnakeCase(name), gormName(name); got != want {
			t.Errorf("SnakeCase(%q) = %q, GORM says %q", name, got, want)
		}
	})
}

type gormBase struct {
	HTTPServer string `seal:"random"`
	URLPath    string `gorm:"COLUMN:the_path" seal:"random"`
}

type gormModel struct {
	GormBase2
	UserID   int64 `seal:"random"`
	SSN      sql.NullString
	APIKey   string    `gorm:"size:10;column:api_k;not null" seal:"deterministic"`
	Odd      string    `gorm:"comment:a\\;b;column:odd_one" seal:"random"`
	Inner    gormBase  `gorm:"embedded;embeddedPrefix:in_"`
	InnerPtr *gormBase `gorm:"embedded;embeddedPrefix:ptr_"`
	NoPrefix gormDeep  `gorm:"embedded"`
}

type GormBase2 struct {
	Created string `seal:"random"`
}

type gormDeep struct {
	Deeper gormBase `gorm:"embedded;embeddedPrefix:deep_"`
}

// TestColumnsAgreeWithGORM compares the columns of a whole model, prefixes
// included, with those of GORM.
func TestColumnsAgreeWithGORM(t *testing.T) {
	parsed, err := gormschema.Parse(&gormModel{}, &sync.Map{}, gormschema.NamingStrategy{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // Go path to column
	for _, f := range parsed.Fields {
		want["gormModel."+strings.Join(f.BindNames, ".")] = f.DBName
	}
	checkColumns(t, Must(Model("t", gormModel{})), want, 10)
}

// checkColumns compares the n columns of table t, by their Go paths.
func checkColumns(t *testing.T, s *Schema, want map[string]string, n int) {
	t.Helper()
	cols := s.Lookup("", "t").Columns()
	if len(cols) != n {
		t.Errorf("%d columns, want %d", len(cols), n)
	}
	for _, c := range cols {
		if want[c.Field()] != c.Name {
			t.Errorf("%s is column %q, want %q", c.Field(), c.Name, want[c.Field()])
		}
	}
}

type sqlxModel struct {
	sqlxBase
	*SqlxPtr
	Email  string `db:"e_mail,omitempty" seal:"random"`
	UserID string `seal:"random"`
	Other  string `db:"Other" seal:"random"`
}

type sqlxBase struct {
	Inside string `db:"inside_col" seal:"random"`
}

type SqlxPtr struct {
	Pointed string `seal:"random"`
}

func TestColumnsAgreeWithSqlx(t *testing.T) {
	m := reflectx.NewMapperFunc("db", strings.ToLower) // sqlx's default
	want := map[string]string{}
	for _, f := range m.TypeMap(reflect.TypeFor[sqlxModel]()).Index {
		path := f.Field.Name
		for p := f.Parent; p != nil && p.Field.Name != ""; p = p.Parent {
			path = p.Field.Name + "." + path
		}
		want["sqlxModel."+path] = f.Path
	}
	checkColumns(t, Must(Model("t", sqlxModel{}, WithColumnNames(strings.ToLower))), want, 5)
}

type bunModel struct {
	bun.BaseModel
	HTTPAPIServer string   `seal:"random"` // GORM would split the initialisms
	UserIDs       []string `bun:",array" seal:"random"`
	Named         string   `bun:"named_col,notnull,type:numeric(10,2)" seal:"random"`
	ByOption      string   `bun:"type:text,column:by_option" seal:"random"`
	BunEmbedded
	Addr bunAddr `bun:"embed:addr_"`
}

type BunEmbedded struct {
	OAuthKeyID string `seal:"random"`
}

type bunAddr struct {
	City string `bun:"town" seal:"random"`
}

func TestColumnsAgreeWithBun(t *testing.T) {
	d := &bunDialect{}
	d.tables = bunschema.NewTables(d)
	want := map[string]string{}
	typ := reflect.TypeFor[bunModel]()
	for _, f := range d.tables.Get(typ).Fields {
		path, at := "bunModel", typ
		for _, i := range f.Index {
			path, at = path+"."+at.Field(i).Name, at.Field(i).Type
		}
		want[path] = f.Name
	}
	checkColumns(t, Must(Model("t", bunModel{})), want, 6)
}

func TestBunUnderscoreAgreesWithBun(t *testing.T) {
	d := &bunDialect{}
	d.tables = bunschema.NewTables(d)
	words := append(slices.Clone(initialisms), "User", "Name", "SSN", "OAuth", "A", "B", "x", "1", "2", "_", "V2")
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		name := "X"
		for range 1 + rng.IntN(4) {
			name += words[rng.IntN(len(words))]
		}
		typ := reflect.StructOf([]reflect.StructField{{Name: name, Type: reflect.TypeFor[string]()}})
		if got, want := bunUnderscore(name), d.tables.Get(typ).Fields[0].Name; got != want {
			t.Fatalf("bunUnderscore(%q) = %q, bun says %q", name, got, want)
		}
	}
}

// bunDialect is the least that bun's reflection needs.
type bunDialect struct {
	bunschema.BaseDialect
	tables *bunschema.Tables
}

func (d *bunDialect) Init(*sql.DB)              {}
func (d *bunDialect) Name() dialect.Name        { return dialect.Invalid }
func (d *bunDialect) Features() feature.Feature { return 0 }
func (d *bunDialect) Tables() *bunschema.Tables { return d.tables }
func (d *bunDialect) OnTable(*bunschema.Table)  {}
func (d *bunDialect) IdentQuote() byte          { return '"' }
func (d *bunDialect) DefaultVarcharLen() int    { return 0 }
func (d *bunDialect) DefaultSchema() string     { return "" }
func (d *bunDialect) AppendSequence(b []byte, _ *bunschema.Table, _ *bunschema.Field) []byte {
	return b
}

func TestColumnNamePrecedence(t *testing.T) {
	for i, tt := range []struct {
		tag  reflect.StructTag
		want string
	}{
		{`seal:"random,name=n" db:"d" gorm:"column:g" bun:"b"`, "n"},
		{`seal:"random" db:"d,opt" gorm:"column:g" bun:"b"`, "d"},
		{`seal:"random" db:",opt" gorm:"size:1;Column:g" bun:"b"`, "g"},
		{`seal:"random" gorm:"size:1" bun:"b,pk"`, "b"},
		{`seal:"random" gorm:"size:1" bun:",pk"`, "field_name"},
		{`seal:"random"`, "field_name"},
		{`seal:"random,name=n" db:"-"`, "n"},
		{`seal:"random" db:"d" gorm:"-" bun:"-"`, "d"},
		{`seal:"random" gorm:"-:migration"`, "field_name"},
		{`json:"j" seal:"random"`, "field_name"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			model := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "FieldName", Type: reflect.TypeFor[string](), Tag: tt.tag}})).Interface()
			s, err := New(Model("t", model))
			if err != nil {
				t.Fatal(err)
			}
			if got := columnNames(s, "t"); got != tt.want {
				t.Errorf("column %s, want %s", got, tt.want)
			}
		})
	}
}
