package shapes

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
)

// A run makes perVersion statements for each version of the server, in some databases at once.
const (
	perVersion = 500
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
	most := perVersion
	if pgtest.Race {
		most /= 4 // it is slow, and needs no more to see a race
	}
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COLSEAL_SHAPES_COUNT"), strconv.Itoa(most)))
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
		s := newShares()
		t.Run("statements", func(t *testing.T) {
			var all sync.WaitGroup // more at once than t.Parallel allows: most of the time is spent waiting
			for shard := range shards {
				storage, f := []string{"bytea", "text"}[shard%2], fronts[shard/2%2]
				all.Go(func() {
					t.Run(fmt.Sprint(shard, " ", f, " ", storage), func(t *testing.T) {
						newShard(t, db, f, shard, storage, c).random(t, seed, statements(db.Version, shard), s)
					})
				})
			}
			all.Wait()
		})
		s.report(t, seed, 2)
		wiretap.Check(t, db.Admin, c.wanted()...)
	}, pgtest.Logged())
}

// random runs random statements on both sides.
func (p *pair) random(t *testing.T, seed uint64, drawn *rapid.Generator[statement], s *shares) {
	t.Helper()
	t.Logf("COLSEAL_SHAPES_SEED=%d repeats this", seed)
	failed := false
	rapid.Check(t, func(rt *rapid.T) {
		if len(p.sides) > 0 {
			p.sealed = p.sides[rapid.IntRange(0, len(p.sides)-1).Draw(rt, "side")]
		}
		st := drawn.Draw(rt, "statement")
		v, detail := p.judge(st)
		if !failed { // what follows is the same made smaller
			s.add(st, v, detail)
		}
		if v.bad() {
			failed = true
			rt.Fatalf("%s: %s", v, detail)
		}
	})
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
	began   time.Time
	mu      sync.Mutex // guards all
	count   map[verdict]int
	kinds   map[string]int       // of statements that work
	reasons map[string]int       // why statements were refused or failed
	example map[string]statement // one of each
	fewer   int                  // of the kinds are not made
}

func newShares() *shares {
	return &shares{began: time.Now(), count: map[verdict]int{}, kinds: map[string]int{}, reasons: map[string]int{}, example: map[string]statement{}}
}

// kinds tell what a statement is made of.
var kinds = map[string]*regexp.Regexp{
	"INSERT":               regexp.MustCompile(`^INSERT`),
	"ON CONFLICT":          regexp.MustCompile(`ON CONFLICT`),
	"UPDATE":               regexp.MustCompile(`^UPDATE`),
	"DELETE":               regexp.MustCompile(`^DELETE`),
	"MERGE":                regexp.MustCompile(`^MERGE`),
	"RETURNING":            regexp.MustCompile(`^[^W].* RETURNING`),
	"WITH … RETURNING":     regexp.MustCompile(`^WITH .* RETURNING .*\)`),
	"WITH RECURSIVE":       regexp.MustCompile(`^WITH RECURSIVE`),
	"LATERAL":              regexp.MustCompile(`LATERAL`),
	"set operations":       regexp.MustCompile(`\) (UNION|EXCEPT|INTERSECT)`),
	"windows":              regexp.MustCompile(`WINDOW w AS`),
	"GROUP BY":             regexp.MustCompile(`GROUP BY`),
	"comparisons of rows":  regexp.MustCompile(`\w\) (=|<>|IN|NOT IN) (ROW)?\(`),
	"comparisons of lists": regexp.MustCompile(`(ANY|ALL)\(`),
	"arrays":               regexp.MustCompile(`ARRAY\[|array_agg|unnest`),
	"subqueries":           regexp.MustCompile(`EXISTS|\(SELECT`),
	"definitions":          regexp.MustCompile(`^(ALTER|CREATE)`),
	"parameters":           regexp.MustCompile(`\$\d`),
	"reads of views":       regexp.MustCompile(`(FROM|JOIN) (mails|mails_of|pairs|both_mails|firsts|orders_of|shouts) `),
	"writes to views":      regexp.MustCompile(`(INTO|UPDATE|DELETE FROM) (mails|mails_of|orders_of)\b`),
	"children":             regexp.MustCompile(`(INTO|UPDATE|FROM|JOIN) (parts_1|parts_22|kin)\b`),
	"holders of rows":      regexp.MustCompile(`(INTO|UPDATE|FROM|JOIN) holders\b`),
}

// add counts one more.
func (s *shares) add(st statement, v verdict, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[v]++
	for kind, is := range kinds {
		if v == work && is.MatchString(st.sql) {
			s.kinds[kind]++
		}
	}
	if v == refuse || v == fail {
		why := string(v) + ": " + reason(detail)
		if s.reasons[why]++; s.reasons[why] == 1 {
			s.example[why] = st
		}
	}
}

// report says what there was, and fails the test if fewer than one of least statements work.
func (s *shares) report(t *testing.T, seed uint64, least int) {
	t.Helper()
	total := 0
	for _, n := range s.count {
		total += n
	}
	t.Logf("seed %d, %d statements in %.1f s: %d work, %d refused, %d fail on both sides, %d wrong, %d leak", seed, total, time.Since(s.began).Seconds(),
		s.count[work], s.count[refuse], s.count[fail], s.count[wrong], s.count[leak])
	t.Logf("of those that work have %v", s.kinds)
	if len(s.kinds)+s.fewer < len(kinds) && total >= perVersion {
		t.Error("of some kinds no statement works: the generator does not make them")
	}
	for _, r := range slices.SortedFunc(maps.Keys(s.reasons), func(x, y string) int { return s.reasons[y] - s.reasons[x] }) {
		t.Logf("  %4d %s, as %#v", s.reasons[r], r, s.example[r])
	}
	if s.count[work]*least < total {
		t.Errorf("only %d of %d statements work", s.count[work], total)
	}
}

// judge runs a statement on both sides at once and says what became of it.
func (p *pair) judge(s statement) (v verdict, detail string) {
	by := readOnly
	switch {
	case s.direct:
		by = executed
	case s.writes:
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
	text, _, _ = strings.Cut(text, " at line")
	return text
}
