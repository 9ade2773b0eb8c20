package driver_test

import (
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// plainTypes are values of types of PostgreSQL, as text: those that pgx's database/sql driver treats by themselves, and some of the
// others.
var plainTypes = map[string][]string{
	"bool": {"t", "f"}, "bytea": {`\x00ff`, ``, `cs1:AQ`}, "cid": {"7"}, "oid": {"4294967295"}, "xid": {"9"},
	"date": {"2001-02-03", "infinity", "-infinity", "0044-03-15 BC"}, "float4": {"1.5", "NaN", "-Infinity"}, "float8": {"1e300", "NaN"},
	"int2": {"-32768"}, "int4": {"2147483647"}, "int8": {"-9223372036854775808"},
	"timestamp": {"2001-02-03 04:05:06.789", "infinity"}, "timestamptz": {"2001-02-03 04:05:06.789+02", "-infinity"},
	"json": {`{"a" : 1}`, `null`}, "jsonb": {`{"a": [1, "x"]}`}, "xml": {"<a/>"}, "text": {"", "ü"}, "varchar(20)": {"x"}, "bpchar": {"x "}, "char(5)": {"abc"},
	"numeric": {"1.50", "NaN"}, "numeric(10,2)": {"7"}, "uuid": {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, "inet": {"10.0.0.1/8"}, "interval": {"1 day 02:03:04"},
	"int8[]": {"{1,NULL}"}, "bytea[]": {`{"\\x01"}`}, "text[]": {"{a,NULL}"}, "int4range": {"[1,5)"}, "varbit(9)": {"101"}, "bit(3)": {"101"}, "time": {"04:05:06"},
	"point": {"(1,2)"}, "money": {"1.00"}, "name": {"n"}, "regclass": {"pg_class"}, "tsvector": {"a b"}, "colour": {"red"},
}

// A plain column beside a sealed one is read exactly as pgx's database/sql driver reads it, which does not read these rows.
func TestPGPlainColumnsBesideSealed(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, "CREATE TYPE colour AS ENUM ('red'); CREATE TABLE users (id bigint, ssn bytea)")
		service := newMemKMS(t)
		for _, mode := range allModes {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
				mustExec(t, server.Admin, "TRUNCATE users")
				db := openPG(t, server, service, mode, schema.Columns("users", schema.Column{Name: "ssn"}))
				mustExec(t, db, "INSERT INTO users VALUES (1, $1)", "078-05-1120")
				for name, values := range plainTypes {
					for _, v := range append([]string{"NULL"}, values...) {
						if v != "NULL" {
							v = "'" + v + "'"
						}
						column := v + "::" + name + " AS v"
						want := resultOf(t, db, "SELECT 'x' AS first, "+column, mode)
						for _, query := range []string{"SELECT ssn, " + column + ", ssn FROM users", "SELECT " + column + ", ssn FROM users WHERE id = 1"} {
							if got := resultOf(t, db, query, mode); got != want {
								t.Errorf("%s: %s, want %s", query, got, want)
							}
						}
						st, err := db.Prepare("SELECT ssn, " + column + " FROM users")
						if err != nil {
							t.Fatal(err)
						}
						rows, err := st.Query()
						if got := describeResult(t, rows, err); got != want {
							t.Errorf("%s, prepared: %s, want %s", column, got, want)
						}
						_ = st.Close()
					}
				}
				// No rows, and an error beside a first row.
				if got := resultOf(t, db, "SELECT ssn, 1::int4 AS v FROM users WHERE false", mode); !strings.HasPrefix(got, "v INT4") {
					t.Errorf("no rows: %s", got)
				}
				var ssn string
				var n int
				if err := db.QueryRow("SELECT ssn, 1/(id-1) FROM users").Scan(&ssn, &n); err == nil || !strings.Contains(err.Error(), "division by zero") {
					t.Errorf("got %v, want the server's error", err)
				}
			})
		}
	})
}

func resultOf(t *testing.T, db *sql.DB, query string, mode pgx.QueryExecMode) string {
	t.Helper()
	rows, err := db.Query(query, mode)
	return describeResult(t, rows, err)
}

// describeResult tells all about the column v of a result.
func describeResult(t *testing.T, rows *sql.Rows, err error) string {
	t.Helper()
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	at := 0
	for i, c := range types {
		if c.Name() != "v" {
			continue
		}
		at = i
		length, hasLength := c.Length()
		precision, scale, hasScale := c.DecimalSize()
		nullable, hasNullable := c.Nullable()
		fmt.Fprint(&b, c.Name(), " ", c.DatabaseTypeName(), " ", c.ScanType(), length, hasLength, precision, scale, hasScale, nullable, hasNullable)
	}
	for rows.Next() {
		dest := make([]any, len(types))
		pointers := make([]any, len(types))
		for i := range dest {
			pointers[i] = &dest[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return err.Error()
		}
		for i, c := range types {
			if c.Name() == "ssn" && !reflect.DeepEqual(dest[i], "078-05-1120") {
				t.Errorf("the sealed column holds %#v", dest[i])
			}
		}
		fmt.Fprintf(&b, " %T %#v", dest[at], dest[at])
		var text sql.NullString
		for i := range pointers {
			pointers[i] = new(any)
		}
		pointers[at] = &text
		if err := rows.Scan(pointers...); err != nil { // the same row again
			return err.Error()
		}
		fmt.Fprintf(&b, " %#v", text)
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return b.String()
}
