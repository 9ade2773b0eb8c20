package queries

import (
	"context"
	"errors"
	"fmt"
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
	Conns  []int  // numbers of connections, each with as many goroutines
	Only   string // cases whose name holds this; empty: all
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
}

// Run measures everything. progress gets the share that is done.
func Run(ctx context.Context, o Options, progress func(float64)) (out *Outcome, err error) {
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
	total, done := float64(len(o.Conns)*len(selected)), 0.0
	for _, c := range selected {
		for _, conns := range o.Conns {
			results, err := runCase(ctx, dsn, dir, c, conns, o, func(part float64) { progress((done + part) / total) })
			if err != nil {
				return nil, fmt.Errorf("%s, %d connections: %w", c.name, conns, err)
			}
			out.Results = append(out.Results, results...)
			done++
		}
	}
	return out, nil
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
	subjects, err := f.subjects(ctx, c)
	if err != nil {
		return nil, err
	}
	blocks := 0.0
	times := stat.Blocks(subjects, o.Rounds, o.Block, func() {
		blocks++
		progress(blocks / float64(o.Rounds*len(subjects)))
	})
	if failure := f.failure.Load(); failure != nil {
		return nil, *failure
	}
	cipher := 0
	for i, s := range subjects {
		if s.Name == nameCipher {
			cipher = i
		}
	}
	for i, s := range subjects {
		results = append(results, Result{Case: c.name, Conns: conns, Name: s.Name,
			US: stat.Summarize(micros(times.Wall[i])), CPU: stat.Summarize(micros(times.CPU[i])),
			Plain: stat.Paired(times.Wall[i], times.Wall[0]), Cipher: stat.Paired(times.Wall[i], times.Wall[cipher]),
			PlainCPU: stat.Paired(times.CPU[i], times.CPU[0])})
	}
	return results, nil
}

func micros(ns []float64) []float64 {
	us := make([]float64, len(ns))
	for i, v := range ns {
		us[i] = v / 1e3
	}
	return us
}

// Tables lays the results out: the goals first, then a table per case.
func (o *Outcome) Tables() []doc.Table {
	tables := []doc.Table{o.goals()}
	for start := 0; start < len(o.Results); {
		end := start
		for end < len(o.Results) && o.Results[end].Case == o.Results[start].Case && o.Results[end].Conns == o.Results[start].Conns {
			end++
		}
		rows := o.Results[start:end]
		t := doc.Table{Title: fmt.Sprintf("%s, %s", rows[0].Case, connections(rows[0].Conns)),
			Columns: []string{"way", "µs", "± MAD", "÷ plain pgx", "more than plain pgx", "CPU µs of the program", "÷ plain pgx"}}
		for _, r := range rows {
			t.Add(r.Name, fmt.Sprintf("%.1f", r.US.Median), fmt.Sprintf("%.1f", r.US.MAD), r.Plain, r.Plain.Percent(),
				fmt.Sprintf("%.1f", r.CPU.Median), r.PlainCPU)
		}
		tables = append(tables, t)
		start = end
	}
	return tables
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// goals compares with what was aimed at.
func (o *Outcome) goals() doc.Table {
	plain := func(r Result) stat.Ratio { return r.Plain }
	cipher := func(r Result) stat.Ratio { return r.Cipher }
	t := doc.Table{
		Title:   "Goals",
		Columns: []string{"what", "connections", "goal", "measured", "A/A of the same run"},
		Notes: []string{"On " + o.Server + ". Medians of paired blocks with their 95 % bootstrap interval. The A/A row is plain pgx against itself: " +
			"what differs by no more than that is noise."},
	}
	for _, g := range []struct {
		what, at, name, goal string
		of                   func(Result) stat.Ratio
	}{
		{"nothing tagged, SELECT", cases[0].name, nameUntagged, "≤ +2 % beyond A/A", plain},
		{"nothing tagged, INSERT", cases[2].name, nameUntagged, "≤ +2 % beyond A/A", plain},
		{"SELECT by primary key, 3 sealed cells", cases[0].name, nameSealed, "≤ +5 %", plain},
		{"INSERT, 3 sealed cells, asynchronous commit", cases[2].name, nameSealed, "≤ +7 %", plain},
		{"INSERT, 3 sealed cells, fsync", cases[3].name, nameSealed, "≤ +3 %", plain},
		{"SELECT 1000 × 3 into strings ÷ plaintext", cases[1].name, nameSealed, "≤ 2.0", plain},
		{"SELECT 1000 × 3 into strings ÷ ciphertext", cases[1].name, nameSealed, "≤ 1.2", cipher},
		{"INSERT 100 × 3 ÷ plaintext", cases[4].name, nameSealed, "≤ 1.6", plain},
	} {
		for _, r := range o.Results {
			if r.Case != g.at || r.Name != g.name {
				continue
			}
			show := stat.Ratio.Percent
			if !strings.Contains(g.goal, "%") {
				show = stat.Ratio.String
			}
			t.Add(g.what, r.Conns, g.goal, show(g.of(r)), show(o.again(r)))
		}
	}
	return t
}

// again is the A/A ratio beside a result.
func (o *Outcome) again(beside Result) stat.Ratio {
	for _, r := range o.Results {
		if r.Case == beside.Case && r.Conns == beside.Conns && r.Name == nameAgain {
			return r.Plain
		}
	}
	return stat.Ratio{}
}
