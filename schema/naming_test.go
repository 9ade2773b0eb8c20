package schema

import (
	"fmt"
	"reflect"
	"testing"
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
