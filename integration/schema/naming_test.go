// Package schema_test holds package schema to the libraries whose rules it follows: GORM, bun and sqlx for the names of
// columns, and the types of others.
package schema_test

import (
	"database/sql"
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

	"github.com/colseal/colseal/schema"
)

// initialisms are those that GORM writes as one word.
var initialisms = []string{"API", "ASCII", "CPU", "CSS", "DNS", "EOF", "GUID", "HTML", "HTTP", "HTTPS", "ID", "IP", "JSON", "LHS", "QPS", "RAM", "RHS",
	"RPC", "SLA", "SMTP", "SSH", "TLS", "TTL", "UID", "UI", "UUID", "URI", "URL", "UTF8", "VM", "XML", "XSRF", "XSS"}

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
		if got, want := schema.SnakeCase(name), gormName(name); got != want {
			t.Fatalf("SnakeCase(%q) = %q, GORM says %q", name, got, want)
		}
	}
}

func FuzzSnakeCase(f *testing.F) {
	for _, s := range []string{"UserID", "HTTPServer", "SSN", "a_B", "ÄB1", "UTF8ID"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := schema.SnakeCase(name), gormName(name); got != want {
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
	checkColumns(t, schema.Must(schema.Model("t", gormModel{})), want, 10)
}

// checkColumns compares the n columns of table t, by their Go paths.
func checkColumns(t *testing.T, s *schema.Schema, want map[string]string, n int) {
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
	checkColumns(t, schema.Must(schema.Model("t", sqlxModel{}, schema.WithColumnNames(strings.ToLower))), want, 5)
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
	checkColumns(t, schema.Must(schema.Model("t", bunModel{})), want, 6)
}

// TestNamesAgreeWithBun tries names that random words make up, of fields that bun alone names.
func TestNamesAgreeWithBun(t *testing.T) {
	d := &bunDialect{}
	d.tables = bunschema.NewTables(d)
	words := append(slices.Clone(initialisms), "User", "Name", "SSN", "OAuth", "A", "B", "x", "1", "2", "_", "V2")
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		name := "X"
		for range 1 + rng.IntN(4) {
			name += words[rng.IntN(len(words))]
		}
		typ := reflect.StructOf([]reflect.StructField{{Name: name, Type: reflect.TypeFor[string](), Tag: `bun:",notnull" seal:"random"`}})
		s, err := schema.New(schema.Model("t", reflect.New(typ).Interface()))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Lookup("", "t").Columns()[0].Name, d.tables.Get(typ).Fields[0].Name; got != want {
			t.Fatalf("%s is column %q, bun says %q", name, got, want)
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
