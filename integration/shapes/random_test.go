package shapes

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colseal/colseal/internal/pgtest"
	"github.com/colseal/colseal/internal/pgtest/wiretap"
)

// A run makes perVersion statements for each version of the server, in some databases at once.
const (
	perVersion = 1200
	shards     = 4
)

// seed is that of this run: a new one, or COLSEAL_SHAPES_SEED. COLSEAL_SHAPES_COUNT makes more or fewer statements.
// One that fails is reduced to the smallest that still does.
var seed = sync.OnceValues(func() (uint64, error) {
	fresh := strconv.FormatUint(rand.Uint64N(1<<32)+1, 10)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("COLSEAL_SHAPES_SEED"), fresh), 10, 64)
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COLSEAL_SHAPES_COUNT"), strconv.Itoa(perVersion)))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{
		"rapid.seed":       strconv.FormatUint(seed, 10),
		"rapid.checks":     strconv.Itoa((count + shards - 1) / shards),
		"rapid.nofailfile": "true", // the seed says it all
	} {
		if err := flag.Set(name, value); err != nil {
			return 0, err
		}
	}
	return seed, nil
})

// TestRandom runs random statements on both sides, and has the wiretap look for what they wrote.
func TestRandom(t *testing.T) {
	seed, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		t.Parallel()
		c := newCanaries()
		s := &shares{count: map[verdict]int{}, reasons: map[string]int{}, example: map[string]statement{}}
		began := time.Now()
		t.Run("statements", func(t *testing.T) {
			var all sync.WaitGroup // more at once than t.Parallel allows: most of the time is spent waiting
			for shard := range shards {
				storage := []string{"bytea", "text"}[shard%2]
				all.Go(func() {
					t.Run(fmt.Sprint(shard, " ", storage), func(t *testing.T) {
						t.Logf("COLSEAL_SHAPES_SEED=%d repeats this", seed)
						p := newShard(t, db, shard, storage, c)
						drawn := statements(db.Version, shard)
						rapid.Check(t, func(rt *rapid.T) { p.property(rt, drawn.Draw(rt, "statement"), s) })
					})
				})
			}
			all.Wait()
		})
		s.report(t, seed, time.Since(began))
		wiretap.Check(t, db.Admin, c.wanted()...)
	}, pgtest.Logged())
}

// property holds a statement on both sides.
func (p *pair) property(rt *rapid.T, st statement, s *shares) {
	v, detail := p.judge(st)
	if !p.failed { // what follows is the same made smaller
		s.add(st, v, detail)
	}
	if v.bad() {
		p.failed = true
		rt.Fatalf("%s: %s", v, detail)
	}
}

// A verdict is what became of a statement.
type verdict string

const (
	work   verdict = "works"
	refuse verdict = "refused"
	fail   verdict = "fails on both"
	wrong  verdict = "wrong"
	leak   verdict = "leaks"
)

func (v verdict) bad() bool { return v == wrong || v == leak }

// shares counts the verdicts.
type shares struct {
	mu      sync.Mutex // guards all
	count   map[verdict]int
	reasons map[string]int       // why statements were refused or failed
	example map[string]statement // one of each
}

// add counts one more.
func (s *shares) add(st statement, v verdict, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[v]++
	if v == refuse || v == fail {
		why := string(v) + ": " + reason(detail)
		if s.reasons[why]++; s.reasons[why] == 1 {
			s.example[why] = st
		}
	}
}

// report says what there was, and fails the test if the statements were not worth it.
func (s *shares) report(t *testing.T, seed uint64, d time.Duration) {
	total := 0
	for _, n := range s.count {
		total += n
	}
	t.Logf("seed %d, %d statements in %.1f s: %d work, %d refused, %d fail on both sides, %d wrong, %d leak", seed, total, d.Seconds(),
		s.count[work], s.count[refuse], s.count[fail], s.count[wrong], s.count[leak])
	for _, r := range slices.SortedFunc(maps.Keys(s.reasons), func(x, y string) int { return s.reasons[y] - s.reasons[x] }) {
		t.Logf("  %4d %s, as %#v", s.reasons[r], r, s.example[r])
	}
	if s.count[work]*2 < total {
		t.Errorf("only %d of %d statements work", s.count[work], total)
	}
}

// judge runs a statement on both sides at once and says what became of it.
func (p *pair) judge(s statement) (v verdict, detail string) {
	by := readOnly
	if s.writes {
		by = queried
	}
	args := p.in(s.args)
	twins := make(chan outcome)
	go func() { twins <- p.twin.run(s.sql, args, by) }()
	sealed := p.sealed.run(s.sql, args, by)
	twin := <-twins
	switch {
	case p.leaks(sealed.sent):
		return leak, errorText(sealed.err)
	case sealed.code == "REFUSED":
		return refuse, errorText(sealed.err)
	}
	slices.Sort(sealed.rows) // an ORDER BY in them is that of a subquery
	slices.Sort(twin.rows)
	d := differ(sealed, twin)
	switch {
	case d == "":
		if sealed.code != "" {
			return fail, errorText(twin.err)
		}
		return work, ""
	case sealed.code != "" && twin.code != "" && errorClass(sealed.code) == errorClass(twin.code):
		return fail, errorText(twin.err) // of several errors, either may be met first
	}
	return wrong, d
}

// errorClass is the class of an SQLSTATE.
func errorClass(code string) string { return code[:min(2, len(code))] }

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
