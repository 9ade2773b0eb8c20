// Package leak measures what the cells of a column show to whoever reads the database: it attacks them as such a reader would, and
// counts the rows whose value the attack gets right. It needs no key and opens nothing: equal cells are equal values, so the column
// itself tells which guesses are right.
package leak

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/schema"
)

// Options say how to look at a column.
type Options struct {
	// Percent is how much of the rows is looked at, drawn at random. If zero, all are. On SQLite it has to be zero.
	Percent float64
}

// Report is what the cells of a column show. It holds counts and shares, never a value or a cell. Its String is for people.
type Report struct {
	Column *schema.Column

	Rows     int // that were looked at
	Null     int // of them are NULL
	NotCells int // of them hold something else than a cell of the column
	Keys     int // the cells are under: of each scope, and of each search key that is live
	Cells    int // different ones
	Repeated int // rows that have the cell of another row
	Lengths  int // of cells, different ones
	Alone    int // rows whose cell has a length that no other has

	// Attacks are the one that the column's mode allows, and then those that would be left if it had a mode that shows less. None of
	// a randomized column.
	Attacks []Attack
}

// Attack is how many rows an attacker gets right who has the cells and knows how often which value occurs: the share of rows, 0 to 1.
// Each key's cells are attacked by themselves.
type Attack struct {
	Mode schema.Mode // shows what the attack needs
	How  string

	// Exact is the share of one who knows how often each value occurs in this very column: nobody gets more from what the mode shows.
	Exact float64
	// Alike is the share of one who knows it of other rows of the same kind: one half of the column's rows, drawn at random, is known,
	// and the other half is attacked. Away is how far a guess by rank is from the value then, as a share of all rows; else 0.
	Alike, Away float64
}

// Column looks at the cells of a column, which is named as the schema writes it: "users.email", "app.users.email". db was opened
// through Colseal's driver; no key is used. It reads every row that it looks at, and holds each different cell in memory.
func Column(ctx context.Context, db *sql.DB, name string, o Options) (*Report, error) {
	var r *Report
	err := sealeddb.With(ctx, db, func(d *sealeddb.DB, q dbcatalog.Querier) error {
		t, c, err := find(d.Schema, name)
		if err != nil {
			return err
		}
		rel, _, err := dbcatalog.ReadRelation(ctx, q, d.Dialect, t.Schema, t.Name)
		switch {
		case err != nil:
			return err
		case rel == nil || rel.Column(c.CellColumn()) == nil:
			return fmt.Errorf("the database has no column %s.%s", t, c.CellColumn())
		}
		from := rel.SQL()
		if o.Percent != 0 {
			if d.Dialect != dialect.Postgres || o.Percent < 0 || o.Percent > 100 {
				return fmt.Errorf("a share of %v percent of the rows cannot be drawn", o.Percent)
			}
			from += fmt.Sprintf(" TABLESAMPLE BERNOULLI (%v)", o.Percent)
		}
		column := dbcatalog.QuoteIdent(c.CellColumn())
		rows, err := q.Query(ctx, "SELECT "+column+", count(*) FROM "+from+" GROUP BY 1")
		if err != nil {
			return err
		}
		r = report(c, rel.Column(c.CellColumn()).Storage, rows)
		return nil
	})
	if err != nil {
		return nil, hint.Errorf("leak: %w", err)
	}
	return r, nil
}

// find returns the sealed column of a name.
func find(s *schema.Schema, name string) (*schema.Table, *schema.Column, error) {
	var known []string
	for _, t := range s.Tables() {
		for _, c := range t.Columns() {
			if t.String()+"."+c.Name == name {
				return t, c, nil
			}
			known = append(known, t.String()+"."+c.Name)
		}
	}
	return nil, nil, hint.With(fmt.Errorf("no sealed column %q", name), "write TABLE.COLUMN, one of "+strings.Join(known, ", "))
}

// report judges the column's different values with their numbers of rows.
func report(c *schema.Column, stored dbcatalog.Storage, values []dbcatalog.Row) *Report {
	r := &Report{Column: c}
	byKey := map[uint32][]shown{}
	lengths := map[int]int{}
	for _, v := range values {
		n := int(v.Int(1))
		r.Rows += n
		if v.Null(0) {
			r.Null += n
			continue
		}
		cell := []byte(v.Text(0))
		var err error
		if stored == dbcatalog.StorageText {
			cell, err = codec.DecodeText(cell, c.Tag())
		}
		var h codec.Header
		if err == nil {
			h, err = codec.Recognize(cell, c.Tag())
		}
		if err != nil {
			r.NotCells += n
			continue
		}
		byKey[h.KeyID] = append(byKey[h.KeyID], shown{cell, n})
		lengths[len(cell)] += n
		r.Cells++
		if n > 1 {
			r.Repeated += n
		}
	}
	r.Keys, r.Lengths = len(byKey), len(lengths)
	for _, n := range lengths {
		if n == 1 {
			r.Alone++
		}
	}
	if c.EqualCells() {
		r.attack(byKey)
	}
	return r
}

// shown is a cell, and how many rows have it.
type shown struct {
	cell []byte
	rows int
}

const (
	leastRounds = 20     // of halves that are drawn
	mostRounds  = 5000   // the same
	precise     = 0.0015 // the standard error of a share that is precise enough
	seed        = 1      // so that the same column gives the same report
)

// attack runs the attacks that the column's mode allows.
func (r *Report) attack(byKey map[uint32][]shown) {
	var all []*population
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		slices.SortFunc(byKey[key], func(a, b shown) int { return bytes.Compare(a.cell, b.cell) })
		p := &population{}
		for _, v := range byKey[key] {
			p.rows = append(p.rows, v.rows)
		}
		all = append(all, p)
	}
	r.Attacks = []Attack{
		{Mode: schema.ModeDeterministic, How: "by frequency"},
		{Mode: schema.ModeRandomized, How: "the most frequent value for every row"},
	}
	methods := []func(*population, *rand.Rand) (right int, far float64){(*population).byFrequency, (*population).mostFrequent}
	if r.Column.Mode == schema.ModeOrdered {
		r.Attacks = slices.Insert(r.Attacks, 0, Attack{Mode: schema.ModeOrdered, How: "by rank"})
		methods = slices.Insert(methods, 0, (*population).byRank)
	}
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // draws samples
	for i := range r.Attacks {
		a := &r.Attacks[i]
		a.Exact, _ = mean(all, random, (*population).same, methods[i])
		a.Alike, a.Away = mean(all, random, (*population).split, methods[i])
	}
}

// mean attacks again and again, until the mean share of the rows that a method gets right is precise enough.
func mean(all []*population, random *rand.Rand, prepare func(*population, *rand.Rand), method func(*population, *rand.Rand) (int, float64)) (right, away float64) {
	var sumRight, squares, sumAway float64
	n := 0.0
	for range mostRounds {
		got, far, of := 0, 0.0, 0
		for _, p := range all {
			prepare(p, random)
			k, d := method(p, random)
			got, far, of = got+k, far+d, of+sum(p.attacked)
		}
		share := float64(got) / float64(max(of, 1))
		n++
		sumRight, squares, sumAway = sumRight+share, squares+share*share, sumAway+far/float64(max(of, 1))
		right = sumRight / n
		if n >= leastRounds && math.Sqrt(max(squares/n-right*right, 0)/n) <= precise {
			break
		}
	}
	return right, sumAway / n
}

func sum(rows []int) (n int) {
	for _, k := range rows {
		n += k
	}
	return n
}
