package schema

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/hint"
	"github.com/jackc/pgx/v5/pgtype"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// tagged makes Model("users", …) of a struct with one field and that tag.
func tagged(typ any, tag reflect.StructTag) Source {
	t := reflect.StructOf([]reflect.StructField{{Name: "Email", Type: reflect.TypeOf(typ), Tag: tag}})
	return Model("users", reflect.New(t).Interface())
}

type User struct {
	Address Address
	*Login
}

type Address struct {
	Email string `seal:"randm"`
}

type Login struct {
	Password string `seal:"random,kynd=text"`
}

type walkedUser struct {
	Address `db:"addr"`
	Home    Address `gorm:"embedded"`
	*Login
}

type unexported struct {
	email string `seal:"random"`
}

type secrets struct {
	PIN string `seal:"random"`
}

type unexportedPointer struct{ *secrets }

type recursive struct {
	Name string `seal:"random"`
	*recursive
}

type Recursive struct {
	Name string `seal:"random"`
	*Recursive
}

type twoNames struct {
	UserHTTPID string `bun:",notnull" seal:"random"`
	Other      string `gorm:"size:10"`
}

type excludedStruct struct {
	Secrets secretsExported `db:"-" gorm:"embedded"`
}

type secretsExported struct {
	PIN string `seal:"random"`
}

type dbEmbedded struct {
	secretsExported `db:"s"`
}

type opaqueEmbedded struct{ OpaqueStruct }

type OpaqueStruct struct {
	PIN string `seal:"random"`
}

func (*OpaqueStruct) Scan(any) error { return nil }

type panicsInTableName struct{ *withTableName }

type noTableName struct {
	Email string `seal:"random"`
}

type emptyTableName struct {
	Email string `seal:"random"`
}

func (emptyTableName) TableName() string { return "" }

type id16 [16]byte

var errorCases = []struct {
	name    string
	sources []Source
}{
	{"unknown mode", []Source{tagged("", `seal:"randm"`)}},
	{"unknown mode, not near", []Source{tagged("", `seal:"secret"`)}},
	{"mode in upper case", []Source{tagged("", `seal:"Random"`)}},
	{"mode shortened", []Source{tagged("", `seal:"det"`)}},
	{"empty tag", []Source{tagged("", `seal:""`)}},
	{"no mode", []Source{tagged("", `seal:"name=email"`)}},
	{"two modes", []Source{tagged("", `seal:"random,deterministic"`)}},
	{"blank after comma", []Source{tagged("", `seal:"random, name=x"`)}},
	{"blank around mode", []Source{tagged("", `seal:" random"`)}},
	{"misspelt option", []Source{tagged("", `seal:"random,nmae=x"`)}},
	{"unknown option", []Source{tagged("", `seal:"random,searchable"`)}},
	{"bare kind", []Source{tagged("", `seal:"random,json"`)}},
	{"option twice", []Source{tagged("", `seal:"random,name=a,name=b"`)}},
	{"empty option", []Source{tagged("", `seal:"random,"`)}},
	{"option without value", []Source{tagged("", `seal:"random,name"`)}},
	{"empty value", []Source{tagged("", `seal:"random,id="`)}},
	{"unknown kind", []Source{tagged("", `seal:"random,kind=boool"`)}},
	{"kind by another name", []Source{tagged("", `seal:"random,kind=timestamptz"`)}},
	{"malformed tag", []Source{tagged("", `db:"email", seal:"random"`)}},
	{"malformed tag, no quotes", []Source{tagged("", `seal:random`)}},
	{"malformed tag, blank", []Source{tagged("", `seal: "random"`)}},
	{"misspelt key", []Source{tagged("", `Seal:"random"`)}},
	{"two seal keys", []Source{tagged("", `seal:"random" seal:"deterministic"`)}},
	{"sealed but no column, db", []Source{tagged("", `db:"-" seal:"random"`)}},
	{"sealed but no column, gorm", []Source{tagged("", `gorm:"-:all" seal:"random"`)}},
	{"sealed but no column, bun", []Source{tagged("", `bun:"-" seal:"random"`)}},
	{"id with join", []Source{tagged("", `seal:"deterministic,id=a,join=b"`)}},
	{"join on random", []Source{tagged("", `seal:"random,join=b"`)}},
	{"id like a join group", []Source{tagged("", `seal:"deterministic,id=join:b"`)}},
	{"id with a blank", []Source{tagged("", `seal:"random,id=a b"`)}},
	{"deterministic json", []Source{tagged(map[string]int{}, `seal:"deterministic,kind=json"`)}},
	{"column name too long", []Source{tagged("", reflect.StructTag(`seal:"random,name=`+strings.Repeat("n", 64)+`"`))}},

	{"map without kind", []Source{tagged(map[string]int{}, `seal:"random"`)}},
	{"struct without kind", []Source{tagged(struct{ A int }{}, `seal:"random"`)}},
	{"valuer without kind", []Source{tagged(decimal{}, `seal:"random"`)}},
	{"pgtype without kind", []Source{tagged(&pgtype.Interval{}, `seal:"random"`)}},
	{"pgtype with the kind of another", []Source{tagged(&pgtype.Date{}, `seal:"random,kind=time"`)}},
	{"pgtype of a timestamp as an instant", []Source{tagged(pgtype.Timestamp{}, `seal:"random,kind=time"`)}},
	{"sql.Null of a valuer without kind", []Source{tagged(sql.Null[decimal]{}, `seal:"random"`)}},
	{"sql.Null of a slice", []Source{tagged(sql.Null[[]string]{}, `seal:"random"`)}},
	{"16 bytes of another name", []Source{tagged(id16{}, `seal:"random"`)}},
	{"byte array", []Source{tagged([32]byte{}, `seal:"random"`)}},
	{"raw bytes", []Source{tagged(sql.RawBytes{}, `seal:"random"`)}},
	{"channel", []Source{tagged(make(chan int), `seal:"random"`)}},
	{"func with kind", []Source{tagged(func() {}, `seal:"random,kind=text"`)}},
	{"complex", []Source{tagged(complex(1, 1), `seal:"random"`)}},
	{"kind of another type", []Source{tagged(time0, `seal:"random,kind=int"`)}},
	{"kind of another type, named string", []Source{tagged(status(""), `seal:"random,kind=int"`)}},
	{"interface without kind", []Source{Model("users", struct {
		Email any `seal:"random"`
	}{})}},
	{"gorm serializer without kind", []Source{tagged(map[string]int{}, `gorm:"serializer:json" seal:"random"`)}},
	{"bun slice without kind", []Source{tagged([]string{}, `bun:"email" seal:"random"`)}},

	{"not a struct", []Source{Model("users", 7)}},
	{"nil model", []Source{Model("users", nil)}},
	{"slice of structs", []Source{Model("users", []User{})}},
	{"no sealed field", []Source{Model("users", struct{ ID int }{})}},
	{"unexported field", []Source{Model("users", unexported{email: ""})}},
	{"unexported embedded pointer", []Source{Model("users", unexportedPointer{})}},
	{"recursive", []Source{Model("users", Recursive{})}},
	{"recursive, unexported", []Source{Model("users", recursive{})}},
	{"not embedded and not registered", []Source{Model("users", User{})}},
	{"nested paths", []Source{Model("users", walkedUser{})}},
	{"GORM and bun disagree", []Source{Model("users", twoNames{})}},
	{"embedded and excluded", []Source{Model("users", excludedStruct{})}},
	{"embedded with a db tag", []Source{Model("users", dbEmbedded{})}},
	{"embedded type converts itself", []Source{Model("users", opaqueEmbedded{})}},
	{"same column twice", []Source{Model("users", struct {
		Email string `seal:"random"`
		Mail  string `db:"email" seal:"random"`
	}{})}},
	{"column names function gives none", []Source{Model("users", noTableName{}, WithColumnNames(func(string) string { return "" }))}},

	{"no table name", []Source{Model("", noTableName{})}},
	{"empty TableName", []Source{Model("", emptyTableName{})}},
	{"TableName panics", []Source{Model("", panicsInTableName{})}},
	{"upper case table", []Source{Model("Users", noTableName{})}},
	{"three parts", []Source{Columns("db.app.users", Column{Name: "a"})}},
	{"empty part", []Source{Columns("app.", Column{Name: "a"})}},
	{"empty table", []Source{Columns("", Column{Name: "a"})}},
	{"blank in table", []Source{Columns("my users", Column{Name: "a"})}},
	{"open quote", []Source{Columns(`"users`, Column{Name: "a"})}},
	{"text after quote", []Source{Columns(`"users"x`, Column{Name: "a"})}},
	{"table name too long", []Source{Columns(strings.Repeat("t", 64), Column{Name: "a"})}},
	{"table twice", []Source{Model("users", noTableName{}), Columns("users", Column{Name: "a"})}},
	{"view named as a table", []Source{Columns("users", Column{Name: "a"}), View("users", "users")}},
	{"view of unknown table", []Source{Columns("users", Column{Name: "a"}), View("v", "user")}},
	{"view of an ambiguous table", []Source{Columns("a.users", Column{Name: "a"}), Columns("b.users", Column{Name: "a"}), View("v", "users")}},
	{"views in a circle", []Source{View("v", "w"), View("w", "v")}},
	{"view of a bad name", []Source{View("v", "a.b.c")}},

	{"columns without columns", []Source{Columns("users")}},
	{"column without name", []Source{Columns("users", Column{})}},
	{"column with unknown mode and kind", []Source{Columns("users", Column{Name: "a", Mode: 9, Kind: 99})}},
	{"column twice", []Source{Columns("users", Column{Name: "a"}, Column{Name: "a"})}},
	{"nil source", []Source{nil}},

	{"same identity", []Source{Columns("users", Column{Name: "a"}), Columns("people", Column{Name: "b", ID: "users.a"})}},
	{"join group of two kinds", []Source{
		Columns("users", Column{Name: "a", Mode: ModeDeterministic, JoinGroup: "g"}),
		Columns("people", Column{Name: "a", Mode: ModeDeterministic, JoinGroup: "g", Kind: KindInt}),
	}},
	{"same tag", []Source{Columns("users", Column{Name: "a"}, Column{Name: "b", ID: collidingID("users.a")})}},
	{"same tag in a join group", []Source{Columns("users", Column{Name: "b", ID: collidingID("join:g")}, Column{Name: "a", Mode: ModeDeterministic, JoinGroup: "g"})}},
	{"empty identity table", []Source{Model("users", noTableName{}, WithIdentityTable(""))}},
}

// TestErrors holds every mistake to its text in testdata/errors.golden.
func TestErrors(t *testing.T) {
	var got strings.Builder
	for _, tt := range errorCases {
		s, err := New(tt.sources...)
		if err == nil {
			t.Errorf("%s: no error, schema:\n%s", tt.name, s)
			continue
		}
		var fe *FieldError
		if !errors.As(err, &fe) || fe.Reason == "" || fe.Hint == "" {
			t.Errorf("%s: not a FieldError with reason and hint: %v", tt.name, err)
		}
		fmt.Fprintf(&got, "# %s\n%s\n\n", tt.name, hint.Text(err))
	}
	file := filepath.Join("testdata", "errors.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gotCases, wantCases := strings.Split(got.String(), "\n\n"), strings.Split(string(want), "\n\n")
	for i := range max(len(gotCases), len(wantCases)) {
		if i >= len(gotCases) || i >= len(wantCases) || gotCases[i] != wantCases[i] {
			t.Fatalf("case %d differs from %s (go test -update rewrites it):\n%s", i+1, file, strings.Join(gotCases[min(i, len(gotCases)):min(i+1, len(gotCases))], ""))
		}
	}
}

func TestAllErrorsAreJoined(t *testing.T) {
	_, err := New(tagged("", `seal:"randm"`), Columns("Bad", Column{Name: "a"}), View("v", "nowhere"), Columns("t", Column{Name: ""}))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 {
		t.Errorf("got %v", err)
	}
}
