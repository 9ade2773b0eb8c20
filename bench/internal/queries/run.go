package queries

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/bench/internal/table"
)

// Options says what to measure and for how long.
type Options struct {
	DSN    string // address of a server; if empty, Run starts a container
	Rounds int
	Block  time.Duration
	Limit  time.Duration // of one case with one number of connections; at least ten rounds are made
	Conns  []int         // numbers of connections, each with as many goroutines
	Only   string        // measure only cases whose name holds this

	// Replayed has the server's answers replayed, which shows the program's side alone. It is
	// measured with one connection, and where the server makes no difference.
	Replayed bool

	goals bool // measure what goals needs
}

// A Result is one way to run the statements of one case.
type Result struct {
	Case   string
	Conns  int
	Name   string
	Rounds int
	Micros float64    // per statement; with several connections: the clock's time by all statements
	Plain  Ratio      // to the case's first base: plain pgx, or an ordinary program
	More   Difference // in microseconds, to the same
	Base   Ratio      // to the case's second base
	Allocs float64    // per statement
}

// An Outcome is what Run measured, and on which server.
type Outcome struct {
	Server  string
	Results []Result
}

// Run measures the selected cases. progress gets the share that is done.
func Run(ctx context.Context, o Options, progress func(float64)) (out *Outcome, err error) {
	// The collector runs as often as in a program of some size, and not as in an empty one.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)
	selected := o.cases()
	if len(selected) == 0 {
		return nil, fmt.Errorf("there is no such case to measure as %q", o.Only)
	}
	dsn, stop, err := openServer(ctx, o.DSN)
	if err != nil {
		return nil, err
	}
	defer stop()
	dir, remove, err := tempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	setUp, err := newFixture(dsn, dir, 2, fixtureOptions{})
	if err != nil {
		return nil, err
	}
	defer func() {
		// Also when it was interrupted: the tables must not stay behind.
		err = errors.Join(err, setUp.drop(context.WithoutCancel(ctx)), setUp.close())
	}()
	if err := setUp.create(ctx, kinds(o.pgcrypto())); err != nil {
		return nil, err
	}
	pin, err := setUp.inbox(ctx)
	if err != nil {
		return nil, err
	}
	out = &Outcome{}
	if out.Server, err = setUp.describe(ctx); err != nil {
		return nil, err
	}
	if o.Replayed {
		o.Conns = []int{1}
		out.Server += ", its answers replayed"
	}
	total, done := 0.0, 0.0
	for _, c := range selected {
		total += float64(len(c.conns(o)))
	}
	for _, c := range selected {
		for _, conns := range c.conns(o) {
			results, err := runCase(ctx, dsn, dir, pin, c, conns, o, func(part float64) { progress((done + part) / total) })
			if err != nil {
				return nil, fmt.Errorf("%s, %d connections: %w", c.name, conns, err)
			}
			out.Results = append(out.Results, results...)
			done++
		}
	}
	return out, nil
}

// pgcrypto says whether it is measured. What it costs is the server's work, which a replayed answer
// does not show.
func (o Options) pgcrypto() bool { return !o.Replayed && !o.goals }

func (o Options) cases() []testCase {
	var selected []testCase
	for _, c := range cases {
		if strings.Contains(c.name, o.Only) && !(o.Replayed && (c.durable || c.tenfold)) && !(o.goals && connsOf(c.name, o.Replayed) == nil) {
			selected = append(selected, c)
		}
	}
	return selected
}

// conns returns the numbers of connections to measure the case with.
func (c testCase) conns(o Options) []int {
	switch {
	case o.goals:
		return connsOf(c.name, o.Replayed)
	case (c.tenfold || c.copied) && len(o.Conns) > 1:
		return o.Conns[:1]
	}
	return o.Conns
}

// describe returns the server's version and what a commit means there.
func (f *fixture) describe(ctx context.Context) (string, error) {
	var version, fsync string
	conn, err := pgx.ConnectConfig(ctx, f.server)
	if err != nil {
		return "", err
	}
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('fsync')").Scan(&version, &fsync)
	return fmt.Sprintf("PostgreSQL %s, fsync=%s", version, fsync), errors.Join(err, conn.Close(ctx))
}

func runCase(ctx context.Context, dsn, dir, pin string, c testCase, conns int, o Options, progress func(float64)) (results []Result, err error) {
	f, err := newFixture(dsn, dir, conns, fixtureOptions{pin: pin, durable: c.durable, replayed: o.Replayed, native: c.native, pgcrypto: o.pgcrypto()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.truncate(ctx); err != nil {
		return nil, err
	}
	ways, err := f.ways(ctx, c)
	if err != nil {
		return nil, err
	}
	subjects, second := make([]subject, len(ways)), 0
	for i, w := range ways {
		subjects[i] = f.subject(w)
		if w.name == c.secondBase() {
			second = i
		}
	}
	blocks, now := 0.0, clock(wallTime)
	if o.Replayed {
		now = processTime // all there is to time is the program's
	}
	times := interleave(subjects, o.Rounds, o.Block, o.Limit, now, func() {
		blocks++
		progress(blocks / float64(o.Rounds*len(subjects)))
	})
	allocs := make([]float64, len(ways))
	for i, w := range ways {
		allocs[i] = allocations(subjects[i]) / max(w.weight, 1)
		for round := range times[i] {
			times[i][round] /= max(w.weight, 1)
		}
	}
	if failure := f.failure.Load(); failure != nil {
		return nil, *failure
	}
	for i, w := range ways {
		ns, rounds := median(times[i])
		results = append(results, Result{Case: c.name, Conns: conns, Name: w.name, Rounds: rounds, Micros: ns / 1e3,
			Plain: paired(times[i], times[0]), More: above(times[i], times[0]), Base: paired(times[i], times[second]), Allocs: allocs[i]})
	}
	return results, nil
}

// secondBase is the way that the second ratio of a case compares with: the ciphertext as it is;
// where numbers of rows are compared, the fewer rows; of write-only programs, the ordinary one once
// more.
func (c testCase) secondBase() string {
	switch {
	case c.tenfold:
		return nameSealed
	case c.writers:
		return nameOrdinary2
	}
	return nameCipher
}

// Tables returns a table for each case.
func (o *Outcome) Tables() []table.Table {
	var tables []table.Table
	for i, r := range o.Results {
		if i == 0 || r.Case != o.Results[i-1].Case || r.Conns != o.Results[i-1].Conns {
			first, base := "plain pgx", "÷ the ciphertext as it is"
			switch r.Case {
			case caseRows:
				base = "÷ 1000 × 3"
			case caseWriters:
				first, base = "ordinary", "÷ ordinary, again"
			}
			tables = append(tables, table.Table{Title: fmt.Sprintf("%s, %s, %d rounds", r.Case, connections(r.Conns), r.Rounds),
				Columns: []string{"way", "µs", "÷ " + first, "− " + first + ", µs", base, "allocations"}})
		}
		tables[len(tables)-1].Add(r.Name, fmt.Sprintf("%.2f", r.Micros), r.Plain, r.More, r.Base, fmt.Sprintf("%.0f", r.Allocs))
	}
	return tables
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}
