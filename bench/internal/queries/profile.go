package queries

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/profile"
)

// Shares is the processor time of the program for one statement, by kind of work.
type Shares struct {
	Case  string               `json:"case"`
	Names []string             `json:"names"`
	Times []map[string]float64 `json:"us"` // by name, microseconds by kind
}

// profiled are the cases that are looked into, and the ways.
var (
	profiledCases = []string{caseMany, caseBatch}
	profiledWays  = []string{namePlain, nameCipher, nameSealed}
)

// profileFor is how long each way is looked at.
const profileFor = 2 * time.Second

// profiles looks into the cases that cost most. Where another profile is under way
// there are none.
func profiles(ctx context.Context, dsn, dir string, o Options) (all []Shares, err error) {
	for _, c := range o.cases() {
		for _, name := range profiledCases {
			if c.name != name {
				continue
			}
			s, err := profileCase(ctx, dsn, dir, c)
			if err != nil {
				return nil, err
			}
			if len(s.Names) > 0 {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func profileCase(ctx context.Context, dsn, dir string, c testCase) (s Shares, err error) {
	f, err := newFixture(dsn, dir, 1, c.durable)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.truncate(ctx); err != nil {
		return s, err
	}
	ways, err := f.ways(ctx, c)
	if err != nil {
		return s, err
	}
	s.Case = c.name
	for _, name := range profiledWays {
		for _, w := range ways {
			if w.name != name {
				continue
			}
			w.one() // opens the connection
			n := 0
			times, err := profile.Run(profileFor, func() { w.one(); n++ })
			if err != nil {
				return Shares{}, nil //nolint:nilerr // the user's own profile is more important
			}
			us := map[string]float64{}
			for kind, d := range times {
				us[kind] = float64(d) / 1e3 / float64(n)
			}
			s.Names, s.Times = append(s.Names, name), append(s.Times, us)
		}
	}
	if failure := f.failure.Load(); failure != nil {
		return s, *failure
	}
	return s, nil
}

func (s Shares) table() doc.Table {
	t := doc.Table{Title: "Where the program's processor time goes: " + s.Case + ", 1 connection, µs per statement", Columns: append([]string{"work"}, s.Names...),
		Notes: []string{"By a profile of each way. The server's time is not in it."}}
	totals := make([]float64, len(s.Times))
	for _, kind := range profile.Kinds {
		row := []any{kind}
		for i, us := range s.Times {
			totals[i] += us[kind]
			row = append(row, fmt.Sprintf("%.0f", us[kind]))
		}
		t.Add(row...)
	}
	row := []any{"all"}
	for _, total := range totals {
		row = append(row, fmt.Sprintf("%.0f", total))
	}
	t.Add(row...)
	return t
}
