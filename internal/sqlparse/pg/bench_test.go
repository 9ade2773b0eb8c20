package pg

import (
	"strings"
	"testing"

	pgquery "github.com/sqlc-dev/oliphant"

	"github.com/colseal/colseal/internal/sqlparse"
)

const pointSelect = `SELECT id, email, ssn FROM users WHERE id = $1`

// upsert writes ten rows.
func upsert() string {
	rows := strings.Repeat(", ($1, $2, $3, $4, 'x', now())", 10)[2:]
	return "INSERT INTO users (id, email, ssn, note, org, made) VALUES " + rows +
		" ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, ssn = EXCLUDED.ssn RETURNING id, email"
}

// report is a query of 60 lines.
func report() string {
	var b strings.Builder
	b.WriteString("WITH recent AS (\n  SELECT u.id, u.email, count(*) AS n\n  FROM users u\n  JOIN orders o ON o.user_id = u.id\n" +
		"  WHERE o.made > $1 AND u.email = $2\n  GROUP BY u.id, u.email\n)\nSELECT\n")
	for range 24 {
		b.WriteString("  CASE WHEN r.n > 10 THEN r.email ELSE NULL END AS c,\n")
	}
	b.WriteString("  sum(o.total) OVER (PARTITION BY r.id ORDER BY o.made) AS s\nFROM recent r\nLEFT JOIN orders o ON o.user_id = r.id\nWHERE true\n")
	for range 20 {
		b.WriteString("  AND (o.kind IN ('a', 'b', $3) OR o.note LIKE $4)\n")
	}
	b.WriteString("ORDER BY 1 DESC\nLIMIT 10")
	return b.String()
}

// BenchmarkParse is all of Parse; "parser" is the part that is the parser's alone.
func BenchmarkParse(b *testing.B) {
	for _, bc := range []struct{ name, text string }{
		{"point", pointSelect}, {"upsert", upsert()}, {"report", report()},
	} {
		b.Run(bc.name+"/all", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bc.text, sqlparse.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bc.name+"/parser", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pgquery.Parse(bc.text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bc.name+"/guard", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := guard(bc.text, sqlparse.Limits{Bytes: 1 << 20, Nesting: 500}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
