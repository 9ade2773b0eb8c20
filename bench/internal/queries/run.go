package queries

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
)

// Options says what to measure and for how long.
type Options struct {
	DSN    string // a server; empty: a container
	Rounds int
	Block  time.Duration
	Limit  time.Duration // of one case with one number of connections; at least ten rounds are made
	Conns  []int         // numbers of connections, each with as many goroutines
	Only   string        // cases whose name holds this; empty: all
}

// A Result is one subject of one case.
type Result struct {
	Case   string       `json:"case"`
	Conns  int          `json:"conns"`
	Name   string       `json:"name"`
	US     stat.Summary `json:"us"`     // microseconds per statement (with several connections: wall clock by statements)
	CPU    stat.Summary `json:"cpu_us"` // processor time of this process, per statement
	Plain  stat.Ratio   `json:"vs_plain"`
	Cipher stat.Ratio   `json:"vs_ciphertext"`

	PlainCPU stat.Ratio `json:"cpu_vs_plain"`
}

// Outcome is all results, and what server they are from.
type Outcome struct {
	Server  string   `json:"server"`
	Results []Result `json:"results"`
	Shares  []Shares `json:"shares,omitempty"`
}

// Run measures everything. progress gets the share that is done.
func Run(ctx context.Context, o Options, progress func(float64)) (out *Outcome, err error) {
	// The collector runs as often as in a program of some size, and not as in an empty one.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)
	dsn := o.DSN
	if dsn == "" {
		var stop func()
		if dsn, stop, err = startServer(ctx); err != nil {
			return nil, err
		}
		defer stop()
	}
	dir, remove, err := tempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	setUp, err := newFixture(dsn, dir, 2, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		// Also when it was interrupted: the tables are not to stay behind.
		err = errors.Join(err, setUp.drop(context.WithoutCancel(ctx)), setUp.close())
	}()
	if err := setUp.create(ctx); err != nil {
		return nil, err
	}
	out = &Outcome{}
	if out.Server, err = setUp.describe(ctx); err != nil {
		return nil, err
	}
	selected := o.cases()
	total, done := 0.0, 0.0
	for _, c := range selected {
		total += float64(len(c.conns(o.Conns)))
	}
	for _, c := range selected {
		for _, conns := range c.conns(o.Conns) {
			results, err := runCase(ctx, dsn, dir, c, conns, o, func(part float64) { progress((done + part) / total) })
			if err != nil {
				return nil, fmt.Errorf("%s, %d connections: %w", c.name, conns, err)
			}
			out.Results = append(out.Results, results...)
			done++
		}
	}
	out.Shares, err = profiles(ctx, dsn, dir, o)
	return out, err
}

func (o Options) cases() []testCase {
	var selected []testCase
	for _, c := range cases {
		if strings.Contains(c.name, o.Only) {
			selected = append(selected, c)
		}
	}
	return selected
}

// conns are the numbers of connections that a case is measured with.
func (c testCase) conns(asked []int) []int {
	if c.tenfold && len(asked) > 1 {
		return asked[:1]
	}
	return asked
}

// describe tells the server's version and what a commit means there.
func (f *fixture) describe(ctx context.Context) (string, error) {
	var version, fsync string
	err := f.pools.plain.QueryRowContext(ctx, "SELECT current_setting('server_version'), current_setting('fsync')").Scan(&version, &fsync)
	return fmt.Sprintf("PostgreSQL %s, fsync=%s", version, fsync), err
}

func runCase(ctx context.Context, dsn, dir string, c testCase, conns int, o Options, progress func(float64)) (results []Result, err error) {
	f, err := newFixture(dsn, dir, conns, c.durable)
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
	subjects, second := make([]stat.Subject, len(ways)), 0
	for i, w := range ways {
		subjects[i] = f.subject(w)
		if w.name == c.secondBase() {
			second = i
		}
	}
	blocks := 0.0
	times := stat.BlocksWithin(subjects, o.Rounds, o.Block, o.Limit, func() {
		blocks++
		progress(blocks / float64(o.Rounds*len(subjects)))
	})
	if failure := f.failure.Load(); failure != nil {
		return nil, *failure
	}
	for i, w := range ways {
		divide(times.Wall[i], w.weight)
		divide(times.CPU[i], w.weight)
	}
	for i, w := range ways {
		results = append(results, Result{Case: c.name, Conns: conns, Name: w.name,
			US: stat.Summarize(micros(times.Wall[i])), CPU: stat.Summarize(micros(times.CPU[i])),
			Plain: stat.Paired(times.Wall[i], times.Wall[0]), Cipher: stat.Paired(times.Wall[i], times.Wall[second]),
			PlainCPU: stat.Paired(times.CPU[i], times.CPU[0])})
	}
	return results, nil
}

// secondBase is what the second ratio of a case compares with: the same ciphertext as
// it is, or, where numbers of rows are compared, the fewer rows.
func (c testCase) secondBase() string {
	if c.tenfold {
		return nameSealed
	}
	return nameCipher
}

func divide(values []float64, by float64) {
	if by > 0 {
		for i := range values {
			values[i] /= by
		}
	}
}

func micros(ns []float64) []float64 {
	us := make([]float64, len(ns))
	for i, v := range ns {
		us[i] = v / 1e3
	}
	return us
}

// Tables lays the results out: a table per case.
func (o *Outcome) Tables() []doc.Table {
	var tables []doc.Table
	for start := 0; start < len(o.Results); {
		end := start
		for end < len(o.Results) && o.Results[end].Case == o.Results[start].Case && o.Results[end].Conns == o.Results[start].Conns {
			end++
		}
		rows := o.Results[start:end]
		t := doc.Table{Title: fmt.Sprintf("%s, %s, %d rounds", rows[0].Case, connections(rows[0].Conns), rows[0].US.N),
			Columns: []string{"way", "µs", "± MAD", "÷ plain pgx", "more than plain pgx", "CPU µs of the program", "÷ plain pgx"}}
		for _, r := range rows {
			t.Add(r.Name, fmt.Sprintf("%.1f", r.US.Median), fmt.Sprintf("%.1f", r.US.MAD), r.Plain, r.Plain.Percent(),
				fmt.Sprintf("%.1f", r.CPU.Median), r.PlainCPU)
		}
		tables = append(tables, t)
		start = end
	}
	for _, s := range o.Shares {
		tables = append(tables, s.table())
	}
	return tables
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}
