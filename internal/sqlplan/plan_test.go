package sqlplan

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/testdiff"
	"github.com/colseal/colseal/schema"
)

// fakeCatalog is a server with a few tables.
type fakeCatalog map[string]*dbcatalog.Relation

func (c fakeCatalog) Relation(_ context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	if schemaName == "" {
		schemaName = "public"
	}
	return c[schemaName+"."+name], nil
}

func relation(name string, cols ...string) *dbcatalog.Relation {
	r := &dbcatalog.Relation{Schema: "public", Name: name}
	for _, c := range cols {
		name, typ, _ := strings.Cut(c, " ")
		typ, kind, _ := strings.Cut(typ, " ")
		rc := dbcatalog.Column{Name: name, Type: typ, Storage: dbcatalog.StorageOther, Generated: kind == "generated", Hidden: kind == "hidden"}
		switch typ {
		case "bytea":
			rc.Storage = dbcatalog.StorageBytes
		case "text":
			rc.Storage = dbcatalog.StorageText
		}
		r.Columns = append(r.Columns, rc)
	}
	return r
}

// partitioned marks the column that a table is partitioned by.
func partitioned(r *dbcatalog.Relation, key string) *dbcatalog.Relation {
	r.Column(key).Key = true
	return r
}

var testCatalog = fakeCatalog{
	"public.users":   relation("users", "id bigint", "email bytea", "ssn bytea", "note text", "org bigint"),
	"public.archive": relation("archive", "id bigint", "email bytea", "ssn bytea"),
	"public.leads":   relation("leads", "id bigint", "email bytea", "phone bytea"),
	"public.texts":   relation("texts", "id bigint", "mail text"),
	"public.tagged":  relation("tagged", "id bigint", "tags bytea", "nums bytea"),
	"public.made":    relation("made", "id bigint", "up bigint generated", "mail bytea", "tag text", "rank float hidden"),
	"public.kinds":   relation("kinds", "id bigint", "i bytea", "f bytea", "n bytea", "b bytea", "t bytea", "u bytea", "j bytea", "y bytea"),
	"public.wide":    relation("wide", append(strings.Split(join(1599, ",", numbered("c# bigint")), ","), "secret bytea")...),
	"public.halves":  relation("halves", "id bigint", "mail bytea", "note text"),
	"public.renamed": func() *dbcatalog.Relation {
		r := relation("renamed", "id bigint", "s bytea")
		r.View = true
		return r
	}(),
	"public.broken": relation("broken", "id bigint", "n integer"),
	"other.users": func() *dbcatalog.Relation {
		r := relation("users", "id bigint", "email bytea", "ssn bytea")
		r.Schema = "other"
		return r
	}(),
	"app.acct": func() *dbcatalog.Relation {
		r := relation("acct", "id bigint", "mail bytea")
		r.Schema = "app"
		return r
	}(),
	"public.events": partitioned(relation("events", "at timestamptz", "mail bytea"), "at"),
	"public.people": relation("people", "id bigint", "age bytea", "born bytea", "token bytea", "name bytea", "org bigint"),
	"public.found":  relation("found", "id bigint", "name bytea", "mail bytea", "tags bytea", "pin bytea", "txt text", "note text"),
	"public.jobs":   relation("jobs", "id bigint", "at bytea"),
	"public.asides": relation("asides", "id bigint", "n text"),
	"public.bad":    partitioned(relation("bad", "id bigint", "mail bytea"), "mail"),
	"public.orders": relation("orders", "id bigint", "user_id bigint", "total numeric"),
	"public.user_view": func() *dbcatalog.Relation {
		r := relation("user_view", "id bigint", "email bytea")
		r.View = true
		return r
	}(),
}

var testSchema = schema.Must(
	schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn", Mode: schema.ModeRandomized}),
	schema.Columns("archive",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn", Mode: schema.ModeRandomized}),
	schema.Columns("leads",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic},
		schema.Column{Name: "phone", Mode: schema.ModeDeterministic, Kind: schema.KindInt}),
	schema.Columns("texts", schema.Column{Name: "mail", Mode: schema.ModeDeterministic}),
	schema.Columns("made", schema.Column{Name: "mail"}),
	schema.Columns("wide", schema.Column{Name: "secret"}),
	schema.Columns("broken", schema.Column{Name: "n", Kind: schema.KindInt}),
	schema.Columns("tagged", schema.Column{Name: "tags", Kind: schema.KindTextArray},
		schema.Column{Name: "nums", Kind: schema.KindIntArray, Mode: schema.ModeDeterministic}),
	schema.Columns("kinds",
		schema.Column{Name: "i", Kind: schema.KindInt, Mode: schema.ModeDeterministic},
		schema.Column{Name: "f", Kind: schema.KindFloat, Mode: schema.ModeDeterministic},
		schema.Column{Name: "n", Kind: schema.KindNumeric, Mode: schema.ModeDeterministic},
		schema.Column{Name: "b", Kind: schema.KindBool, Mode: schema.ModeDeterministic},
		schema.Column{Name: "t", Kind: schema.KindTime, Mode: schema.ModeDeterministic},
		schema.Column{Name: "u", Kind: schema.KindUUID, Mode: schema.ModeDeterministic},
		schema.Column{Name: "j", Kind: schema.KindJSON},
		schema.Column{Name: "y", Kind: schema.KindBytes, Mode: schema.ModeDeterministic}),
	schema.Columns("halves", schema.Column{Name: "mail", Mode: schema.ModeDeterministic},
		schema.Column{Name: "ssn"}, schema.Column{Name: "phone", Mode: schema.ModeDeterministic}),
	schema.Columns("missing", schema.Column{Name: "x"}),
	schema.Columns("events", schema.Column{Name: "mail"}),
	schema.Columns("bad", schema.Column{Name: "mail", Mode: schema.ModeDeterministic}),
	schema.Columns("app.acct", schema.Column{Name: "mail", Mode: schema.ModeDeterministic}),
	schema.Columns("people",
		schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "150"},
		schema.Column{Name: "born", Mode: schema.ModeOrdered, Kind: schema.KindDate},
		schema.Column{Name: "token", Mode: schema.ModeDeterministic, Cursor: true},
		schema.Column{Name: "name", Mode: schema.ModeDeterministic}),
	schema.Columns("found",
		schema.Column{Name: "name", Terms: codec.Terms{Equal: true, Fold: true, Prefix: codec.Lengths{Min: 3, Max: 8}}},
		schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Terms: codec.Terms{Fold: true, Suffix: codec.Lengths{Min: 4, Max: 4}}},
		schema.Column{Name: "tags", Kind: schema.KindTextArray, Terms: codec.Terms{Elements: true}},
		schema.Column{Name: "txt", Terms: codec.Terms{Equal: true}},
		schema.Column{Name: "pin", Kind: schema.KindInt, Terms: codec.Terms{Equal: true}}),
	schema.Unscoped(schema.Columns("jobs", schema.Column{Name: "at", Mode: schema.ModeOrdered, Kind: schema.KindTimestamp})),
	schema.Columns("asides", schema.Column{Name: "n", Mode: schema.ModeOrdered, Kind: schema.KindInt}),
	schema.View("user_view", "users"),
	schema.View("renamed", "users", schema.Renamed{Column: "ssn", As: "s"}),
)

func render(p *Plan) string {
	var b strings.Builder
	if !p.Sealed {
		return "forward"
	}
	for i, c := range p.Chunks {
		b.WriteString(c)
		if i < len(p.Literals) {
			l := p.Literals[i]
			fmt.Fprintf(&b, "«%v:%s»", l.Value, renderUse(&l.Use))
		}
	}
	b.WriteString(" |")
	for _, q := range p.Params {
		fmt.Fprintf(&b, " %d", q.From)
		b.WriteString(p.NameOf(&q))
		if q.Use != nil {
			b.WriteString(renderParam(q.Use))
		}
	}
	b.WriteString(" |")
	for i, r := range append(append([]Result{}, p.Head...), p.Tail...) {
		if p.Open && i == len(p.Head) {
			b.WriteString(" …")
		}
		switch {
		case len(r.Columns) == 0:
			b.WriteString(" _")
		default:
			b.WriteByte(' ')
			for j, c := range r.Columns {
				if j > 0 {
					b.WriteByte('/')
				}
				b.WriteString(c.TableName() + "." + c.Name)
			}
			if r.Array {
				b.WriteString("[]")
			}
		}
	}
	if p.Open && len(p.Tail) == 0 {
		b.WriteString(" …")
	}
	return b.String()
}

func renderParam(u *Use) string {
	s := ""
	if !u.Answered() {
		s = "=" + renderUse(u)
	}
	if u.Ask != nil {
		s += fmt.Sprintf("?%s%d", u.Ask.Op, len(u.Ask.Values))
	}
	if u.Answered() {
		s += limitNames[u.Limit]
	}
	return s
}

var limitNames = [...]string{"", "<int2", "<int4", "<float4"}

func renderUse(u *Use) string {
	s := u.Column.TableName() + "." + u.Column.Name
	if u.Compared {
		s += "~"
	}
	s += [...]string{"", ">least", ">greatest"}[u.Bound]
	if u.Array {
		s += "[]"
	}
	if u.Storage == dbcatalog.StorageText {
		s += "(text)"
	}
	if m := u.Match; m.Form != NoMatch {
		s += "?" + [...]string{"", "equal", "like", "ilike", "starts", "left", "right", "member", "no-member", "all", "any", "one-of", "glob"}[m.Form]
		if m.N > 0 {
			s += strconv.Itoa(int(m.N))
		}
		if m.Fold {
			s += ",fold"
		}
		if m.Lower {
			s += ",lower"
		}
		if m.Before+m.After != "" {
			s += fmt.Sprintf(",%q+%q", m.Before, m.After)
		}
	}
	s += limitNames[u.Limit]
	if u.Key > 0 {
		s += "#" + strconv.Itoa(u.Key)
	}
	return s
}

var update = flag.Bool("update", false, "rewrite the golden files")

// TestPlans holds the plan, or the refusal, of every line of testdata/*.sql.
func TestPlans(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect dialect.Dialect
		keys    int
		keyring dbcatalog.Name
	}{
		{"postgres", dialect.Postgres, 1, dbcatalog.Name{}},
		{"postgres-ddl", dialect.Postgres, 1, dbcatalog.Name{Schema: "keys", Table: "colseal_keys"}},
		{"postgres-twokeys", dialect.Postgres, 2, dbcatalog.Name{}},
		{"postgres-order", dialect.Postgres, 1, dbcatalog.Name{}},
		{"postgres-order-twokeys", dialect.Postgres, 2, dbcatalog.Name{}},
		{"postgres-terms", dialect.Postgres, 1, dbcatalog.Name{}},
		{"postgres-terms-twokeys", dialect.Postgres, 2, dbcatalog.Name{}},
		{"sqlite-order", dialect.SQLite, 1, dbcatalog.Name{}},
		{"sqlite-order-twokeys", dialect.SQLite, 2, dbcatalog.Name{}},
		{"sqlite-terms", dialect.SQLite, 1, dbcatalog.Name{}},
		{"sqlite-terms-twokeys", dialect.SQLite, 2, dbcatalog.Name{}},
		{"sqlite", dialect.SQLite, 1, dbcatalog.Name{}},
		{"sqlite-ddl", dialect.SQLite, 1, dbcatalog.Name{Table: "colseal_keys"}},
		{"sqlite-twokeys", dialect.SQLite, 2, dbcatalog.Name{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + c.name + ".sql")
			if err != nil {
				t.Fatal(err)
			}
			got := plansOf(t, New(testSchema, c.dialect, Options{KeyTable: c.keyring}), string(text), c.keys)
			testdiff.Golden(t, "testdata/"+c.name+".plans", got, *update)
		})
	}
}

// plansOf renders the plan of each line of a text, or all that it is refused for.
func plansOf(t *testing.T, p *Planner, text string, keys int) string {
	t.Helper()
	var b strings.Builder
	for sql := range strings.Lines(text) {
		if sql = strings.TrimSpace(sql); sql == "" || strings.HasPrefix(sql, "#") {
			if sql != "" {
				b.WriteString(sql + "\n")
			}
			continue
		}
		env := &Env{Catalog: testCatalog, SearchKeys: keys}
		plan, err := p.Plan(t.Context(), sql, env)
		refusals, failed := p.Refusals(t.Context(), sql, env)
		if failed != nil || (err == nil) != (len(refusals) == 0) || err != nil && refusals[0].Error() != err.Error() {
			t.Errorf("Refusals(%q) = %v, %v, but Plan says %v", sql, refusals, failed, err)
		}
		if err != nil {
			var r *Refusal
			if !errors.As(err, &r) || !errors.Is(err, colseal.ErrRefused) {
				t.Fatalf("%s: %v is no refusal", sql, err)
			}
			if r.Class == "" {
				t.Errorf("%s: refused without a class: %s", sql, r.Reason)
			}
			b.WriteString(sql + "\n")
			for i, r := range refusals {
				fmt.Fprintf(&b, "  %s %s\n", [...]string{"REFUSED", "    AND"}[min(i, 1)], refusalLine(r))
			}
			continue
		}
		fmt.Fprintf(&b, "%s\n  %s\n", sql, render(plan))
	}
	return b.String()
}

// A comment to the end of the line, behind what min yields, takes nothing of the statement with it when that is written in another way.
func TestCommentBehindMin(t *testing.T) {
	const sql = "SELECT min(age) AS m -- the youngest\nFROM people WHERE age >= 0; DELETE FROM jobs WHERE id = 1"
	plan, err := New(testSchema, dialect.Postgres, Options{}).Plan(t.Context(), sql, &Env{Catalog: testCatalog})
	if err != nil {
		t.Fatal(err)
	}
	if got := render(plan); strings.Contains(got, "--") || !strings.Contains(got, " AS m; DELETE FROM ") {
		t.Errorf("it is sent as %s", got)
	}
}

// Without a catalog, an INSERT without a column list is planned by a guess, and a refusal of it
// is not certain.
func TestUnlistedInsert(t *testing.T) {
	tests := []struct {
		sql     string
		catalog Catalog
		want    bool
		refused bool
	}{
		{"INSERT INTO users VALUES ($1, $2)", nil, true, false},
		{"WITH w AS (INSERT INTO users SELECT $1, $2 RETURNING id) SELECT id FROM w", nil, true, false},
		{"INSERT INTO users VALUES (lower($1), lower($2), lower($3))", nil, true, true},
		{"INSERT INTO users (id, email) VALUES ($1, $2)", nil, false, false},
		{"INSERT INTO users (email) VALUES (lower($1))", nil, false, true},
		{"UPDATE users SET email = $1", nil, false, false},
		{"INSERT INTO users VALUES ($1, $2)", testCatalog, false, false},
		{"INSERT INTO users VALUES ($1, lower($2))", testCatalog, false, true},
	}
	for _, tt := range tests {
		plan, err := New(testSchema, dialect.Postgres, Options{}).Plan(t.Context(), tt.sql, &Env{Catalog: tt.catalog})
		var r *Refusal
		if errors.As(err, &r) != tt.refused {
			t.Errorf("Plan(%q) = %v, want a refusal: %v", tt.sql, err, tt.refused)
			continue
		}
		if tt.refused && r.Undecided != tt.want {
			t.Errorf("Plan(%q): Undecided = %v, want %v", tt.sql, r.Undecided, tt.want)
		}
		if !tt.refused && (plan.UnlistedInsert != tt.want || !plan.Sealed) {
			t.Errorf("Plan(%q): UnlistedInsert = %v, Sealed = %v, want %v, true", tt.sql, plan.UnlistedInsert, plan.Sealed, tt.want)
		}
	}
}

// TestRefusalsOfParts holds that what is refused in one part of a statement neither hides what is refused in another, nor adds
// to it.
func TestRefusalsOfParts(t *testing.T) {
	p, env := New(testSchema, dialect.Postgres, Options{}), &Env{Catalog: testCatalog}
	reasons := func(sql string) (out []string) {
		refusals, err := p.Refusals(t.Context(), sql, env)
		if err != nil {
			t.Fatalf("Refusals(%q): %v", sql, err)
		}
		for _, r := range refusals {
			out = append(out, r.Reason+" "+r.Column)
		}
		slices.Sort(out)
		return out
	}
	parts := []string{
		"lower(email)", "ssn || 'x'", "email = note", "ssn = $1", "email::text", "email LIKE $2", "ssn IN ($3, lower($4), note)", "nothing", "max(ssn)",
		"COALESCE(email, note, ssn)", "CASE WHEN ssn > $5 THEN 1 END", "(SELECT email || ssn FROM archive)", "ARRAY[email, note]", "NULLIF(ssn, 'x')", "ROW(email, ssn)",
		"count(*) FILTER (WHERE email > 'x')", "email = ssn", "EXISTS (SELECT 1 FROM leads WHERE phone = users.email)",
	}
	for _, frame := range []string{"SELECT %s FROM users", "DELETE FROM users WHERE id = 1 RETURNING %s", "SELECT 1 FROM (SELECT %s FROM users) q"} {
		for i, x := range parts {
			alone := reasons(fmt.Sprintf(frame, x))
			if len(alone) == 0 {
				t.Errorf("Refusals(%q) = none", fmt.Sprintf(frame, x))
			}
			for _, y := range parts[i+1:] {
				want := slices.Concat(alone, reasons(fmt.Sprintf(frame, y)))
				slices.Sort(want)
				sql := fmt.Sprintf(frame, x+", "+y)
				if got := reasons(sql); !slices.Equal(got, want) {
					t.Errorf("Refusals(%q)\n got %q\nwant %q", sql, got, want)
				}
			}
		}
	}
}

// refusalLine is a refusal with its hint, as the goldens have it.
func refusalLine(err error) string {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return err.Error()
	}
	parts := []string{r.Reason, r.Table, r.Hint}
	if r.Column != "" {
		parts[1] += "." + r.Column
	}
	if r.Query != "" {
		line, col := r.Position()
		at := 0
		if r.Table != "" {
			at = 1
		}
		parts[at] += fmt.Sprintf(" at line %d, column %d", line, col)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " — ")
}
