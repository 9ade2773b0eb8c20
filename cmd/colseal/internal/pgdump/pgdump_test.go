package pgdump

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// read returns the rows of the table keys as "column=value …"; NULL is shown as ⊥.
func read(t *testing.T, dump, table string) ([]string, error) {
	t.Helper()
	name, err := dbcatalog.ParseName(table)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	err = Read(strings.NewReader(dump), name, func(columns []string, fields []Field) error {
		var parts []string
		for i, f := range fields {
			if f.Null {
				f.Text = "⊥"
			}
			parts = append(parts, fmt.Sprintf("%s=%q", columns[i], f.Text))
		}
		rows = append(rows, strings.Join(parts, " "))
		return nil
	})
	return rows, err
}

const create = "CREATE TABLE public.keys (\n    id bigint NOT NULL,\n    \"Why\" text DEFAULT 'a, b'::text NOT NULL,\n    n numeric(4,2),\n    CONSTRAINT keys_id CHECK (((id >= 0) AND (id <= 9)))\n);\n"

func TestRead(t *testing.T) {
	one := []string{`id="1" Why="x" n="⊥"`}
	for _, tt := range []struct {
		name, dump string
		want       []string
	}{
		{"COPY", "COPY public.keys (id, \"Why\", n) FROM stdin;\n1\tx\t\\N\n\\.\n", one},
		{"COPY of Windows", "COPY public.keys (id, \"Why\", n) FROM stdin;\r\n1\tx\t\\N\r\n\\.\r\n", one},
		{"COPY without columns", create + "COPY public.keys FROM stdin;\n1\tx\t\\N\n\\.\n", one},
		{"COPY of none", "COPY public.keys (id) FROM stdin;\n\\.\n", nil},
		{"escapes", "COPY keys (id) FROM stdin;\n" + `a\tb\\N\nc\101\x41g\r\q\b\f\v\1018` + "\n\\\\.\n\\.\n", []string{`id="a\tb\\N\ncAAg\rq\b\f\vA8"`, `id="\\."`}},
		{"INSERT", create + "INSERT INTO public.keys VALUES (1, 'x', NULL);\n", one},
		{"INSERT with columns", `INSERT INTO public.keys (id, "Why", n) OVERRIDING SYSTEM VALUE VALUES (1, 'x', NULL) ON CONFLICT DO NOTHING;`, one},
		{"INSERT of several", create + "INSERT INTO public.keys VALUES\n\t(1, 'it''s; \\x', -1.5e3),\n\t(2, '', true);\n", []string{`id="1" Why="it's; \\x" n="-1.5e3"`, `id="2" Why="" n="true"`}},
		{"two INSERTs", "INSERT INTO keys (id) VALUES (1);INSERT INTO keys (id) VALUES (2);", []string{`id="1"`, `id="2"`}},
		{"what others hold", "COPY other.keys2 (a) FROM stdin;\nINSERT INTO keys (id) VALUES (7);\nCOPY keys (id) FROM stdin;\n\\.\n" +
			"INSERT INTO other.t VALUES ('INSERT INTO keys (id) VALUES (7);', E'\\';INSERT INTO keys (id) VALUES (7);', U&'a;');\n" +
			"INSERT INTO keys (id) VALUES (1);", []string{`id="1"`}},
		{"what is not executed", "\\restrict abc'\n-- INSERT INTO keys (id) VALUES (7); '\n/* /* ' */ INSERT INTO keys (id) VALUES (7); */\n" +
			"CREATE FUNCTION f(begin integer) RETURNS void LANGUAGE sql AS $_$ INSERT INTO keys (id) VALUES (7); $_$;\n" +
			"CREATE OR REPLACE FUNCTION g() RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; INSERT INTO keys (id) VALUES (7); END;\n" +
			"CREATE RULE r AS ON INSERT TO x DO (INSERT INTO keys (id) VALUES ($1));\n" +
			"INSERT INTO keys (id) VALUES (1);\n\\unrestrict abc'\n", []string{`id="1"`}},
		{"a schema", "INSERT INTO a.keys (id) VALUES (1);", []string{`id="1"`}},
		{"settings", "SET statement_timeout = 0;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET x TO 1;\nSELECT pg_catalog.set_config('search_path', '', false);INSERT INTO keys (id) VALUES (1)\n;", []string{`id="1"`}},
		{"much of another table", "INSERT INTO t VALUES ('" + strings.Repeat("x", 3*maxToken) + "');COPY t (a) FROM stdin;\n" + strings.Repeat("y", 3*maxToken) + "\n\\.\nINSERT INTO keys (id) VALUES (1);", []string{`id="1"`}},
	} {
		got, err := read(t, tt.dump, "keys")
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	two := "COPY a.keys (id) FROM stdin;\n1\n\\.\nCOPY b.keys (id) FROM stdin;\n2\n\\.\n"
	if got, err := read(t, two, "b.keys"); err != nil || !slices.Equal(got, []string{`id="2"`}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, dump, want string }{
		{"nothing", "", `no rows of a table "keys"`},
		{"only the table", create, "no rows"},
		{"custom format", "PGDMP\x01\x0e", "pg_restore -f - -t keys"},
		{"compressed", "\x1f\x8b\x08", "decompress"},
		{"cut in data", "COPY keys (id) FROM stdin;\n1\n", "cut short"},
		{"cut in other data", "COPY t (id) FROM stdin;\n1\n", "cut short"},
		{"cut in a statement", "INSERT INTO keys (id) VALUES (1", "cut short"},
		{"cut in a string", "SELECT 'a", "cut short"},
		{"cut in a dollar string", "DO $a$ $b$", "cut short"},
		{"cut in a comment", "/* a", "cut short"},
		{"two schemas", "INSERT INTO a.keys (id) VALUES (1);INSERT INTO b.keys (id) VALUES (1);", `"a"."keys" and "b"."keys"`},
		{"two databases", "\\connect a\nINSERT INTO keys (id) VALUES (1);\n\\connect b\nINSERT INTO keys (id) VALUES (1);", "several databases"},
		{"too few fields", "COPY keys (id, why) FROM stdin;\n1\n\\.\n", "line 3: this is no dump in plain format: a row has 1 fields, and the table 2 columns"},
		{"no columns", "INSERT INTO keys VALUES (1);", "before it CREATE TABLE"},
		{"no constant", "INSERT INTO keys (id) VALUES (now());", "no constant"},
		{"an expression", "INSERT INTO keys (id) VALUES (1 + 1);", "no constant"},
		{"a query", "INSERT INTO keys (id) SELECT 1;", "VALUES"},
		{"escapes", `INSERT INTO keys (id) VALUES (E'\x31');`, "no constant"},
		{"options", "COPY keys (id) FROM stdin WITH (FORMAT csv);\n1\n\\.\n", "FROM stdin"},
		{"a file", "COPY keys (id) FROM '/etc/passwd';\n", "FROM stdin"},
		{"encoding", "SET client_encoding = 'LATIN1';", "--encoding=UTF8"},
		{"strings", "SET standard_conforming_strings = off;", "standard_conforming_strings"},
		{"a long row", "COPY keys (id) FROM stdin;\n" + strings.Repeat("9", 2*maxToken) + "\n\\.\n", "longer"},
		{"a long value", "INSERT INTO keys (id) VALUES ('" + strings.Repeat("9", 2*maxToken) + "');", "longer"},
	} {
		got, err := read(t, tt.dump, "keys")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
		if strings.HasPrefix(tt.want, "cut") && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// FuzzRead: no dump panics, and rows have as many fields as columns.
func FuzzRead(f *testing.F) {
	f.Add(create + "INSERT INTO public.keys VALUES (1, 'x', NULL), (-2, E'', $$a$$);\n")
	f.Add("COPY keys (id, why) FROM stdin;\n1\t\\x\\\n\\.\n/* ")
	f.Add("CREATE FUNCTION f() BEGIN ATOMIC CASE END; END; \\connect a\n\"a\"\"b\" u&\"x\"")
	f.Fuzz(func(t *testing.T, dump string) {
		_ = Read(strings.NewReader(dump), dbcatalog.Name{Table: "keys"}, func(columns []string, fields []Field) error {
			if len(columns) != len(fields) {
				t.Errorf("%d columns, %d fields", len(columns), len(fields))
			}
			return nil
		})
	})
}
