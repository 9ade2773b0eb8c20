package shapes

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/pgtest"
)

// TestRandom runs random statements on both sides. COLSEAL_SHAPES_SEED repeats a run,
// COLSEAL_SHAPES_COUNT changes how many there are. It ends early, and says so, when the
// machine is too slow for them.
func TestRandom(t *testing.T) {
	seed := uint64(41)
	if s, err := strconv.ParseUint(os.Getenv("COLSEAL_SHAPES_SEED"), 10, 64); err == nil {
		seed = s
	}
	count, limit := 3000, 25*time.Second
	if n, err := strconv.Atoi(os.Getenv("COLSEAL_SHAPES_COUNT")); err == nil {
		count, limit = n, 10*time.Minute
	}
	storage := []string{"bytea", "text"}[seed%2]
	db := pgtest.New(t)
	p := newPair(t, db, storage)
	t.Logf("seed %d, %s", seed, storage)
	began := time.Now()
	shares := map[string]int{}
	reasons := map[string]int{}
	n := 0
	for ; n < count && time.Since(began) < limit; n++ {
		g := &generator{r: rand.New(rand.NewPCG(seed, uint64(n)))}
		query := g.top()
		verdict, detail := p.judge(t, query, g.args)
		shares[verdict]++
		switch verdict {
		case "works", "fails on both", "has no type on the twin":
		case "refused":
			r := reason(detail)
			if reasons[r]++; testing.Verbose() && reasons[r] == 1 {
				t.Logf("refused: %s\n%s\n%s", r, query, detail)
			}
		default:
			t.Errorf("statement %d: %s\n%s\n%q\n%s", n, verdict, query, g.args, detail)
		}
		if t.Failed() && shares["wrong"]+shares["leak"]+shares["broken"] > 10 {
			t.Fatal("too many")
		}
	}
	t.Logf("%d statements: %v", n, shares)
	for r, k := range reasons {
		t.Logf("  refused %4d: %s", k, r)
	}
	if shares["works"]*3 < n {
		t.Errorf("only %d of %d statements work", shares["works"], n)
	}
}

// judge runs a statement on both sides and says what became of it.
func (p *pair) judge(t *testing.T, query string, args []any) (verdict, detail string) {
	t.Helper()
	run := side.run
	if strings.HasPrefix(query, "SELECT") || strings.HasPrefix(query, "WITH") {
		run = side.read // it writes nothing
	}
	sealed := run(p.sealed, t, query, args, false)
	if leaks(sealed.sent) {
		return "leak", errorText(sealed.err)
	}
	if sealed.code == "REFUSED" {
		return "refused", errorText(sealed.err)
	}
	twin := run(p.twin, t, query, args, false)
	slices.Sort(sealed.rows) // an ORDER BY in them is that of a subquery
	slices.Sort(twin.rows)
	d := differ(sealed, twin)
	switch {
	case sealed.code != "" && twin.code != "":
		return "fails on both", "" // of several errors, either may be met first
	case d == "":
		return "works", ""
	case sealed.code == "" && (twin.code == "42883" || twin.code == "42804"):
		// An untyped NULL: text for the twin, which does not compare it with a number; a
		// cell for us.
		return "has no type on the twin", ""
	case sealed.code != "":
		return "broken", d
	}
	return "wrong", d
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// reason is the part of a refusal that says why.
func reason(text string) string {
	text = strings.TrimPrefix(text, "colseal: refused before sending: ")
	text, _, _ = strings.Cut(text, " — ")
	text, _, _ = strings.Cut(text, " at line")
	return text
}
