package sqlplan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dialect"
)

func BenchmarkPlanCached(b *testing.B) {
	p := New(testSchema, dialect.Postgres, Options{})
	env := &Env{Catalog: testCatalog, SearchPath: `"$user", public`}
	for name, sql := range map[string]string{
		"sealed":  "SELECT id, email FROM users WHERE email = $1",
		"forward": "SELECT id FROM orders WHERE id = $1",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Plan(b.Context(), sql, env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPlanFirst(b *testing.B) {
	var q strings.Builder
	q.WriteString("WITH a AS (SELECT id, email FROM users WHERE note LIKE $1)\nSELECT u.id, u.email\n")
	for range 25 {
		q.WriteString(", CASE WHEN u.org = 7\n THEN u.note ELSE 'none' END\n")
	}
	q.WriteString("FROM users u JOIN a ON a.id = u.id\nWHERE u.email = $2\n AND u.org IN (1, 2, 3)\n ORDER BY u.id")
	for name, sql := range map[string]string{"point": "SELECT id, email FROM users WHERE email = $1", "60-lines": q.String()} {
		b.Run(name, func(b *testing.B) {
			p := New(testSchema, dialect.Postgres, Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := p.analyse(b.Context(), sql, &Env{Catalog: testCatalog}, p.Known()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Long statements under one and two search keys.
func BenchmarkPlanLong(b *testing.B) {
	for name, text := range map[string]string{
		"in=16000":    "SELECT id FROM users WHERE email IN (" + join(16000, ",", numbered("$#")) + ")",
		"values=3000": "INSERT INTO users(id,email,ssn) VALUES " + join(1000, ",", always("($1,$2,$3)")),
	} {
		for keys := 1; keys <= 2; keys++ {
			b.Run(fmt.Sprintf("%s/keys=%d", name, keys), func(b *testing.B) {
				p := New(testSchema, dialect.Postgres, Options{})
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := p.analyse(b.Context(), text, &Env{Catalog: testCatalog, SearchKeys: keys}, p.Known()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
