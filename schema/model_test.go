package schema

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/hint"
)

type status string

type orderIDs []int64

// Uuid and decimal convert themselves, as such types of libraries do.
type Uuid [16]byte

func (u Uuid) Value() (driver.Value, error) { return u[:], nil }
func (u *Uuid) Scan(any) error              { return nil }

type decimal struct{ digits string }

func (d decimal) Value() (driver.Value, error) { return d.digits, nil }
func (d *decimal) Scan(any) error              { return nil }

// everyType has one field for each way in which a kind is found.
type everyType struct {
	ID       int64
	Name     string              `seal:"random"`
	Status   status              `seal:"deterministic"`
	Ptr      *string             `seal:"random"`
	PtrPtr   **string            `seal:"random"`
	Raw      []byte              `seal:"random"`
	Age      int                 `seal:"random"`
	Big      uint64              `seal:"random"`
	Wide     uint64              `seal:"random,kind=numeric"`
	Ratio    float32             `seal:"deterministic"`
	OK       bool                `seal:"random"`
	Born     time.Time           `seal:"random"`
	Doc      json.RawMessage     `seal:"random"`
	Map      map[string]any      `seal:"random,kind=json"`
	Key      Uuid                `seal:"random"`
	KeyPtr   *Uuid               `seal:"random"`
	Key16    [16]byte            `seal:"random"`
	Tags     []string            `seal:"random"`
	Orders   orderIDs            `seal:"random"`
	NStr     sql.NullString      `seal:"random"`
	NInt     sql.NullInt32       `seal:"random"`
	NByte    sql.NullByte        `seal:"random"`
	NFloat   sql.NullFloat64     `seal:"random"`
	NBool    sql.NullBool        `seal:"random"`
	NTime    *sql.NullTime       `seal:"random"`
	NGen     sql.Null[time.Time] `seal:"random"`
	NUUID    sql.Null[Uuid]      `seal:"random,kind=uuid"`
	NNum     sql.Null[string]    `seal:"random,kind=numeric"`
	Price    decimal             `seal:"deterministic,kind=numeric"`
	PgText   pgtype.Text         `seal:"random,kind=uuid"`
	PgDate   *pgtype.Date        `seal:"random"`
	PgLocal  pgtype.Timestamp    `seal:"random"`
	PgTime   pgtype.Timestamptz  `seal:"random"`
	PgInt    pgtype.Int4         `seal:"random"`
	BornOn   *time.Time          `seal:"random,kind=date"`
	Meets    sql.NullTime        `seal:"random,kind=timestamp"`
	Any      any                 `seal:"random,kind=float"`
	Number   string              `seal:"random,kind=int"`
	Ignored  string              `seal:"-"`
	internal string
}

func TestKindOfEveryType(t *testing.T) {
	s, err := New(Model("t", everyType{internal: "not sealed"}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Kind{
		"name": KindText, "status": KindText, "ptr": KindText, "ptr_ptr": KindText, "raw": KindBytes, "age": KindInt, "big": KindInt, "wide": KindNumeric, "ratio": KindFloat, "ok": KindBool,
		"born": KindTime, "doc": KindJSON, "map": KindJSON, "key": KindUUID, "key_ptr": KindUUID, "key16": KindUUID, "tags": KindTextArray, "orders": KindIntArray, "n_str": KindText,
		"n_int": KindInt, "n_byte": KindInt, "n_float": KindFloat, "n_bool": KindBool, "n_time": KindTime, "n_gen": KindTime, "n_uuid": KindUUID, "n_num": KindNumeric,
		"price": KindNumeric, "pg_text": KindUUID, "pg_date": KindDate, "pg_local": KindTimestamp, "pg_time": KindTime, "pg_int": KindInt, "born_on": KindDate,
		"meets": KindTimestamp, "any": KindFloat, "number": KindInt,
	}
	table := s.Lookup("", "t")
	for _, c := range table.Columns() {
		if k, ok := want[c.Name]; !ok || k != c.Kind {
			t.Errorf("column %s (%s) is %s, want %s", c.Name, c.Field(), c.Kind, k)
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("columns not found: %v", want)
	}
}

type withTableName struct {
	Email string `seal:"random"`
}

func (withTableName) TableName() string { return "app.people" }

type withPointerTableName struct {
	Email string `seal:"random"`
}

func (p *withPointerTableName) TableName() string { return `"People"` }

type withFieldTableName struct {
	Email string `seal:"random"`
	year  string
}

func (w withFieldTableName) TableName() string { return "log_" + w.year }

func TestTableName(t *testing.T) {
	for _, tt := range []struct {
		name  string
		model any
		want  string
	}{
		{"value receiver, value", withTableName{}, "app.people"},
		{"value receiver, pointer", &withTableName{}, "app.people"},
		{"value receiver, nil pointer", (*withTableName)(nil), "app.people"},
		{"pointer receiver, value", withPointerTableName{}, `"People"`},
		{"pointer receiver, nil pointer", (*withPointerTableName)(nil), `"People"`},
		{"depends on the value", withFieldTableName{year: "2026"}, "log_2026"},
		{"depends on the pointer's value", &withFieldTableName{year: "2026"}, "log_2026"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(Model("", tt.model))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Tables()[0].String(); got != tt.want {
				t.Errorf("table %s, want %s", got, tt.want)
			}
		})
	}
}

type address struct {
	Street string `db:"street" seal:"random"`
	Zip    string
}

type Contact struct {
	Email string `seal:"deterministic"`
	*Phones
}

type Phones struct {
	Home sql.NullString `seal:"random"`
}

type customer struct {
	address
	*Contact
	Billing  address   `gorm:"embedded;embeddedPrefix:billing_"`
	Shipping *address2 `gorm:"EMBEDDED;EmbeddedPrefix:shipping_"`
	Office   address2  `bun:"embed:office_"`
	Partner  *customer `seal:"-"`
	Company  *company
	Friends  []customer
}

type address2 struct {
	City string `seal:"random"`
	Code string `seal:"random,name=final_code"`
}

type company struct {
	VAT string `seal:"random"`
}

func TestEmbedded(t *testing.T) {
	type onlyShipping struct {
		Ship *address2 `gorm:"embedded;embeddedPrefix:shipping_"`
	}
	s, err := New(Model("ship", onlyShipping{}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := columnNames(s, "ship"), "shipping_city final_code"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}

	_, err = New(Model("customers", customer{}), Model("companies", company{}))
	want := `schema: customer.Office.Code (struct schema.customer, table customers): column final_code is also declared by customer.Shipping.Code` +
		"\nhint: " + `seal it in one place, or give the other its own column with name=`
	if err == nil || hint.Text(err) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}

	type plainCustomer struct {
		address
		*Contact
		Billing address  `gorm:"embedded;embeddedPrefix:billing_"`
		Company *company // of a table of its own
		Friends []customerRef
	}
	s, err = New(Model("customers", plainCustomer{}), Model("companies", company{}), Model("friends", customerRef{}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := columnNames(s, "customers"), "street email home billing_street"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	if got := s.Lookup("", "customers").Column("home").Field(); got != "plainCustomer.Contact.Phones.Home" {
		t.Errorf("Go path %s", got)
	}
}

type customerRef struct {
	Nick string `seal:"random"`
	Back *customerRef
}

func columnNames(s *Schema, table string) string {
	var names []string
	for _, c := range s.Lookup("", table).Columns() {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

func TestIdentities(t *testing.T) {
	type user struct {
		Email  string `seal:"deterministic,join=email"`
		Name   string `seal:"random"`
		Renamd string `seal:"random,name=renamed,id=users.old"`
	}
	s := Must(
		Model("app.users", user{}),
		Columns(`"We.ird"`, Column{Name: "mail", Mode: ModeDeterministic, JoinGroup: "email"}, Column{Name: "x"}),
		View("user_names", "app.users"),
		View("v2", "user_names"),
		Model("people", withTableName{}, WithIdentityTable("persons")),
	)
	for _, tt := range []struct {
		table, column, identity, owner string
		suite                          codec.Suite
	}{
		{"users", "email", "join:email", "app.users", codec.SuiteDeterministic},
		{"users", "name", "app.users.name", "app.users", codec.SuiteRandomized},
		{"users", "renamed", "users.old", "app.users", codec.SuiteRandomized},
		{"We.ird", "mail", "join:email", `"We.ird"`, codec.SuiteDeterministic},
		{"We.ird", "x", "We.ird.x", `"We.ird"`, codec.SuiteRandomized},
		{"user_names", "name", "app.users.name", "app.users", codec.SuiteRandomized},
		{"v2", "name", "app.users.name", "app.users", codec.SuiteRandomized},
		{"people", "email", "persons.email", "people", codec.SuiteRandomized},
	} {
		c := s.Lookup("", tt.table).Column(tt.column)
		if c == nil {
			t.Fatalf("%s.%s not found", tt.table, tt.column)
		}
		if c.Identity() != tt.identity || c.Tag() != codec.ColumnTag(tt.identity) || c.Suite() != tt.suite || c.TableName() != tt.owner {
			t.Errorf("%s.%s: identity %q tag %04x suite %d table %s", tt.table, tt.column, c.Identity(), c.Tag(), c.Suite(), c.TableName())
		}
	}
	if v := s.Lookup("", "v2"); v.ViewOf != "user_names" {
		t.Errorf("v2 is a view of %q", v.ViewOf)
	}
}

func TestLookup(t *testing.T) {
	col := Column{Name: "c"}
	s := Must(Columns("b.users", col), Columns("a.users", col), Columns("users", col), Columns("x.only", col), Columns(`"Users"`, col))
	name := func(t *Table) string {
		if t == nil {
			return "none"
		}
		return t.String()
	}
	for _, tt := range []struct{ schema, table, want string }{
		{"a", "users", "a.users"}, {"b", "users", "b.users"}, {"c", "users", "users"}, {"", "users", "users"},
		{"x", "only", "x.only"}, {"", "only", "x.only"}, {"y", "only", "none"}, {"", "Users", `"Users"`}, {"", "USERS", "none"},
	} {
		if got := name(s.Lookup(tt.schema, tt.table)); got != tt.want {
			t.Errorf("Lookup(%q, %q) is %s, want %s", tt.schema, tt.table, got, tt.want)
		}
	}
	all := s.LookupAll("users")
	if len(all) != 3 || name(all[0]) != "users" || name(all[1]) != "a.users" || name(all[2]) != "b.users" {
		t.Errorf("LookupAll: %v", all)
	}
	two := Must(Columns("b.t", col), Columns("a.t", col))
	if got := name(two.Lookup("", "t")); got != "a.t" {
		t.Errorf("the first of two is %s", got)
	}
	var none *Schema
	if none.Lookup("", "users") != nil || none.LookupAll("users") != nil || none.Tables() != nil || none.String() != "" {
		t.Error("a nil schema is not empty")
	}
	if len(Must().Tables()) != 0 {
		t.Error("an empty schema has tables")
	}
}

func TestMustPanics(t *testing.T) {
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "no sealed field") {
			t.Errorf("panic value %v", err)
		}
	}()
	Must(Model("users", struct{ ID int }{}))
}
