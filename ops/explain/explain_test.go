package explain

import (
	"flag"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/testdiff"
	"github.com/colseal/colseal/schema"
)

var update = flag.Bool("update", false, "rewrite testdata/explain.golden")

var explainSchema = schema.Must(
	schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic},
		schema.Column{Name: "ssn"},
		schema.Column{Name: "age", Kind: schema.KindInt}),
	schema.Columns("staged",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy},
		schema.Column{Name: "ssn", Stage: schema.StageCopy}))

// TestExplainGolden holds the text of an explanation for each kind of thing that it can say.
func TestExplainGolden(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		dialect dialect.Dialect
		query   string
	}{
		{dialect.Postgres, "SELECT id, email, ssn AS s FROM users WHERE email = $1 AND org = $2"},
		{dialect.Postgres, "SELECT * FROM users WHERE email = ANY($1)"},
		{dialect.Postgres, "INSERT INTO users (id, email, ssn, age) VALUES (7, 'canary@x', $1, 42) -- canary"},
		{dialect.Postgres, "INSERT INTO users (email, note) VALUES ($1, $1)"},
		{dialect.Postgres, "INSERT INTO users VALUES ($1, $2)"},
		{dialect.Postgres, "SELECT coalesce(email, $1), array_agg(ssn) FROM users GROUP BY 1"},
		{dialect.Postgres, "SELECT 'canary' FROM orders"},
		{dialect.Postgres, "SELECT id\nFROM users\n\tWHERE org = 'canary' AND email LIKE 'canary%'"},
		{dialect.Postgres, "SELECT id FROM users ORDER BY ssn"},
		{dialect.Postgres, "SELECT ssn || $1\nFROM users\nWHERE ssn = $2 AND email LIKE 'canary%' AND age IN (lower($3), 'canary', 'canary')\nORDER BY email"},
		{dialect.Postgres, "UPDATE users SET note = email, ssn = org, nothing = 1 WHERE lower(email) = $1"},
		{dialect.Postgres, "SELECT " + strings.Repeat("id, ", 60) + "lower(email)" + strings.Repeat(", id", 60) + " FROM users"},
		{dialect.Postgres, "SELECT FROM FROM users"},
		{dialect.Postgres, "SELECT 'canary from users"},
		{dialect.Postgres, "UPDATE staged SET email = $1 WHERE id = 5"},
		{dialect.Postgres, "SELECT email FROM staged WHERE email LIKE 'canary%' ORDER BY ssn"},
		{dialect.Postgres, "UPDATE staged SET email = lower($1) WHERE id = 5"},
		{dialect.Postgres, "SELECT * FROM staged WHERE ssn = 'canary'"},
		{dialect.Postgres, "SELECT FROM FROM staged"},
		{dialect.SQLite, "SELECT email FROM staged WHERE ssn = ?"},
		{dialect.SQLite, "UPDATE users SET email = :mail, ssn = ? WHERE id = ?"},
	} {
		e, err := Offline(explainSchema, c.dialect, c.query)
		if err != nil {
			t.Fatalf("%s: %v", c.query, err)
		}
		b.WriteString(strings.Repeat("=", 80) + "\n" + strings.ReplaceAll(c.query, "canary", "******") + "\n\n" + e.String())
	}
	got := b.String()
	if strings.Contains(got, "canary") {
		t.Error("an explanation holds a value")
	}
	testdiff.Golden(t, "testdata/explain.golden", got, *update)
}
