package ddl

import (
	"bytes"
	"flag"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/testdiff"
	"github.com/colseal/colseal/schema"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sample(t *testing.T) *schema.Schema {
	t.Helper()
	s, err := schema.New(
		schema.Columns("users",
			schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
			schema.Column{Name: "ssn"},
			schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "150"},
			schema.Column{Name: "name", Terms: codec.Terms{Fold: true, Prefix: codec.Lengths{Min: 3, Max: 8}}}),
		schema.Columns("members", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy}, schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "150", Stored: "age_cells"}),
		schema.Columns(`app."Order"`, schema.Column{Name: "it's 100%", Kind: schema.KindInt, ID: "orders.note"}),
		schema.View("user_mails", "users"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGolden(t *testing.T) {
	ssnAsText := func(c *schema.Column) bool { return c.Name == "ssn" }
	for name, o := range map[string]Options{
		"postgres": {Text: ssnAsText},
		"notvalid": {NotValid: true, KeyTable: "app.keys"},
		"sqlite":   {Dialect: dialect.SQLite, Text: ssnAsText},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Write(sample(t), o)
			if err != nil {
				t.Fatal(err)
			}
			testdiff.Golden(t, "testdata/"+name+".sql", got, *update)
		})
	}
}

func TestSortedAsText(t *testing.T) {
	all := func(*schema.Column) bool { return true }
	found := schema.Must(schema.Columns("found", schema.Column{Name: "name", Terms: codec.Terms{Equal: true}}))
	if _, err := Write(found, Options{Text: all}); err == nil || !strings.Contains(err.Error(), "found.name has terms") {
		t.Errorf("error %v", err)
	}
	if _, err := Write(sample(t), Options{Text: all}); err == nil || !strings.Contains(err.Error(), "members.age is ordered") {
		t.Errorf("error %v", err)
	}
}

func TestBadKeyTable(t *testing.T) {
	if _, err := Write(sample(t), Options{KeyTable: "a.b.c"}); err == nil || !strings.Contains(err.Error(), "a.b.c") {
		t.Errorf("error %v", err)
	}
}

func TestConstraintName(t *testing.T) {
	long := strings.Repeat("ü", 31)
	names := map[string]bool{}
	for _, column := range []string{"email", long, long[:60], strings.Repeat("x", 63), strings.Repeat("x", 62)} {
		name := ConstraintName(&schema.Column{Name: column})
		if len(name) > 63 || names[name] || name != ConstraintName(&schema.Column{Name: column}) || strings.ToValidUTF8(name, "") != name {
			t.Errorf("%s: %q", column, name)
		}
		names[name] = true
	}
	if !names["colseal_email_check"] {
		t.Errorf("names %v", names)
	}
}

// Every key id and every tag has a textual form that the pattern takes, and no other tag has.
func TestTextPattern(t *testing.T) {
	pattern := regexp.MustCompile(`'(\^[^']*)'`)
	columns := map[byte]int{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		s := schema.Must(schema.Columns("t", schema.Column{Name: name, Mode: schema.ModeDeterministic}))
		col := s.Lookup("", "t").Column(name)
		columns[byte(col.Tag()&3)]++
		re := regexp.MustCompile(pattern.FindStringSubmatch(backstop.Condition(dialect.Postgres, col, true))[1])
		for _, id := range []uint32{1, 0x0fffffff, 0x10000000, 0x7fffffff, 0x80000000, 0xc0000001, 0xffffffff} {
			head := codec.Header{Suite: col.Suite(), Tag: col.Tag(), KeyID: id}.Append(nil)
			cell := append(head, bytes.Repeat([]byte{0xfb}, 25-8)...)
			if !re.MatchString(codec.EncodeText(cell)) {
				t.Errorf("%s: key %x is refused", name, id)
			}
			if re.MatchString(codec.EncodeText(cell[:24])) {
				t.Errorf("%s: a cell that is too short is taken", name)
			}
			for bit := range 32 {
				other := bytes.Clone(cell)
				other[bit/8] ^= 1 << (bit % 8)
				if re.MatchString(codec.EncodeText(other)) {
					t.Errorf("%s: a cell with bit %d of its header changed is taken", name, bit)
				}
			}
			if re.MatchString(codec.EncodeText(cell) + "\n") {
				t.Errorf("%s: a line end is taken", name)
			}
		}
	}
	if len(columns) != 4 {
		t.Errorf("the tags cover only %v of the four classes of the sixth character", columns)
	}
}
