// Package govalues binds Go values of hundreds of types to sealed columns and to plain ones, and wants the same: the same value in
// the column, or an error from both.
package govalues

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// columns are the sealed columns, and the types of the plain ones.
var columns = []struct {
	name, pgType string
	kind         codec.Kind
}{
	{"c_text", "text", codec.KindText}, {"c_bytes", "bytea", codec.KindBytes}, {"c_int", "bigint", codec.KindInt}, {"c_float", "double precision", codec.KindFloat},
	{"c_bool", "boolean", codec.KindBool}, {"c_time", "timestamptz", codec.KindTime}, {"c_json", "json", codec.KindJSON}, {"c_uuid", "uuid", codec.KindUUID},
	{"c_numeric", "numeric", codec.KindNumeric}, {"c_texts", "text[]", codec.KindTextArray}, {"c_ints", "bigint[]", codec.KindIntArray},
	{"c_date", "date", codec.KindDate}, {"c_timestamp", "timestamp", codec.KindTimestamp},
}

var modes = []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}

// pair is a plain table and one whose columns are sealed, each with one row, and a connection to either.
//
// Those in guessing are for the modes in which pgx guesses types: on a connection where it guessed, it refuses some arrays of several
// dimensions afterwards that it takes elsewhere.
type pair struct {
	plain, sealed *sql.Conn
	guessing      struct{ plain, sealed *sql.Conn }
}

func newPair(t *testing.T, server *pgtest.DB) pair {
	t.Helper()
	var plain, sealed []string
	var cols []schema.Column
	for _, c := range columns {
		plain = append(plain, c.name+" "+c.pgType)
		sealed = append(sealed, c.name+" bytea")
		cols = append(cols, schema.Column{Name: c.name, Kind: c.kind})
	}
	if _, err := server.Admin.Exec("CREATE TABLE plain (id int, " + strings.Join(plain, ", ") + "); CREATE TABLE sealed (id int, " + strings.Join(sealed, ", ") + "); INSERT INTO plain VALUES (1); INSERT INTO sealed VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	service, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: schema.Must(schema.Columns("sealed", cols...)), KMS: service, AutoCreateKeyTable: true})
	if err != nil {
		t.Fatal(err)
	}
	var p pair
	plainDB, sealedDB := sql.OpenDB(stdlib.GetConnector(*cfg)), sql.OpenDB(cn)
	for conn, db := range map[**sql.Conn]*sql.DB{&p.plain: plainDB, &p.sealed: sealedDB, &p.guessing.plain: plainDB, &p.guessing.sealed: sealedDB} {
		if *conn, err = db.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _, _ = plainDB.Close(), sealedDB.Close() })
	return p
}

// outcome is what came back of a value that was stored, or the error of storing it.
type outcome struct {
	value any
	err   error
}

func (o outcome) equal(other outcome) bool {
	if o.err != nil || other.err != nil {
		return o.err != nil && other.err != nil
	}
	a, b := o.value, other.value
	if at, ok := a.(time.Time); ok {
		bt, ok := b.(time.Time)
		return ok && at.Equal(bt) && at.Location().String() == bt.Location().String()
	}
	if af, ok := a.(float64); ok && af != af {
		bf, ok := b.(float64)
		return ok && bf != bf
	}
	return reflect.DeepEqual(a, b)
}

func (o outcome) String() string {
	if o.err != nil {
		return "error: " + o.err.Error()
	}
	return fmt.Sprintf("%T %.80q", o.value, fmt.Sprint(o.value))
}

// store binds a value to a column in an exec mode, and reads it back.
func store(conn *sql.Conn, table, column string, mode pgx.QueryExecMode, v any) (o outcome) {
	o.err = conn.QueryRowContext(context.Background(), "UPDATE "+table+" SET "+column+" = $1 WHERE id = 1 RETURNING "+column, mode, v).Scan(&o.value)
	return o
}

func isMoment(k codec.Kind) bool {
	return k == codec.KindTime || k == codec.KindDate || k == codec.KindTimestamp
}

// TestTypes: what pgx stores in a plain column, or refuses, it stores in a sealed one, or refuses. In the modes in which pgx does not
// ask the server for the types of parameters it sends other texts for some values, and so it is with a sealed column. Each value is
// bound on one of the servers; on all, and in all modes, with COLSEAL_VALUES_FULL=1.
func TestTypes(t *testing.T) {
	full := os.Getenv("COLSEAL_VALUES_FULL") != ""
	servers := 0
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		p := newPair(t, server)
		vs := values()
		types := map[reflect.Type]bool{}
		for _, v := range vs {
			types[reflect.TypeOf(v)] = true
		}
		servers++
		stored, refused, guessed := 0, 0, 0
		for c, column := range columns {
			for i, v := range vs {
				if !full && (c+i+servers)%2 == 0 {
					continue
				}
				want := store(p.plain, "plain", column.name, modes[0], v)
				if want.err == nil {
					stored++
				} else {
					refused++
				}
				for m, mode := range modes {
					if m > 0 && !full && (c+i)/2%8 != m {
						continue
					}
					want, sealed := want, p.sealed
					switch mode {
					case pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec:
						want = store(p.plain, "plain", column.name, mode, v)
					case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
						if isMoment(column.kind) && reflect.TypeOf(v) != nil && strings.HasPrefix(reflect.TypeOf(v).String(), "pgtype.FlatArray[") {
							continue // PostgreSQL reads {2024-02-29} as a date
						}
						plain := store(p.guessing.plain, "plain", column.name, mode, v)
						if !plain.equal(want) {
							guessed++
						}
						want, sealed = plain, p.guessing.sealed
					}
					if got := store(sealed, "sealed", column.name, mode, v); !got.equal(want) {
						t.Errorf("%s, value %d, a %T, mode %s: plain has %v; sealed has %v", column.pgType, i, v, mode, want, got)
					}
				}
			}
		}
		t.Logf("%d types, %d values; a plain column of %d types takes %d and refuses %d; without asking the server it takes another one or refuses %d times",
			len(types), len(vs), len(columns), stored, refused, guessed)
		if len(types) < 300 || stored < 3000 {
			t.Error("the test has become weak")
		}
	})
}

// TestAppendValue: for a caller of package codec a value means what database/sql makes of it, if it makes something of it.
func TestAppendValue(t *testing.T) {
	compared := 0
	for i, v := range values() {
		converted, err := sqldriver.DefaultParameterConverter.ConvertValue(v)
		if err != nil {
			continue
		}
		for _, c := range columns {
			want, wantErr := codec.Session{TimeZone: time.UTC}.AppendValue(nil, c.kind, codec.SuiteRandomized, converted)
			got, err := codec.Session{TimeZone: time.UTC}.AppendValue(nil, c.kind, codec.SuiteRandomized, v)
			if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) || errors.Is(err, codec.ErrNull) != errors.Is(wantErr, codec.ErrNull) {
				t.Errorf("%s, value %d, a %T: %q, %v; as database/sql converts it: %q, %v", c.pgType, i, v, got, err, want, wantErr)
			}
			compared++
		}
	}
	t.Logf("%d compared", compared)
	if compared < 5000 {
		t.Error("the test has become weak")
	}
}
