package pg

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/sqlparse"
)

// FuzzParse: no text makes the parser panic or hang, every error is one of ours, and
// what is parsed has tokens and statements inside the text.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/lower.txt")
	if err != nil {
		f.Fatal(err)
	}
	seeds := strings.Split(shapes+string(data), "\n")
	for _, text := range deep {
		seeds = append(seeds, text(30))
	}
	n := 0
	for _, s := range seeds {
		if s != "" && !strings.HasPrefix(s, "  ") {
			f.Add(s)
			n++
		}
	}
	if n < 100 {
		f.Fatalf("only %d seeds", n)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		file, err := Parse(text, sqlparse.Limits{Bytes: 64 << 10})
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
		if err != nil {
			e, ok := sqlparse.AsError(err)
			if !ok || e.Pos < 0 || e.Pos > len(text) || e.Reason == "the SQL parser failed" {
				t.Errorf("%v at %d", err, e.Pos)
			}
			return
		}
		for _, s := range file.Statements {
			if s.Stmt == nil || s.Start < 0 || s.Start > s.End || s.End > len(text) {
				t.Errorf("a statement %v from %d to %d", s.Stmt, s.Start, s.End)
			}
		}
		tokens, err := file.Tokens()
		if err != nil {
			t.Fatalf("parsed, but not scanned: %v", err)
		}
		last := 0
		for _, tok := range tokens {
			if tok.Start < last || tok.End <= tok.Start || tok.End > len(text) {
				t.Fatalf("a token from %d to %d behind %d", tok.Start, tok.End, last)
			}
			last = tok.End
		}
		for _, s := range file.Statements {
			checkFound(t, text, tokens, s)
		}
	})
}
