// Package leak measures what the cells of a column show to whoever reads the database. It attacks
// them as such a reader would, and counts the rows whose value the attack gets right. It needs no
// key and opens nothing: equal cells are equal values, so the column itself tells which guesses are
// right.
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
	// Percent is the share of the rows to read, drawn at random. If zero, Column reads all. On
	// SQLite it must be zero.
	Percent float64
}

// Report is what the cells of a column show. It holds counts and shares, never a value or a cell.
// Its String is for people.
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

	// Terms are what the tokens of a column with terms show; nil of any other.
	Terms *Terms

	// Attacks are the attack that the column's mode allows, and then those that a mode that shows
	// less would leave. A randomized column without terms has none.
	Attacks []Attack
}

// Terms are what tokens show: each stands for a beginning, an end, a member or the value.
type Terms struct {
	Tokens    int // different ones
	Commonest int // rows have the commonest one
	Shared    int // rows have one that another row has
	Apart     int // rows have tokens that, all together, no other row has
}

// Attack is the share of rows, 0 to 1, that an attacker gets right who has the cells and knows how
// often each value occurs. The cells of each key are attacked by themselves.
type Attack struct {
	Mode  schema.Mode // shows what the attack needs
	Terms bool        // it needs tokens, and gets a row right whose terms it gets right
	How   string

	// Exact is the share of an attacker who knows how often each value occurs in this very column.
	// Nobody gets more from what the mode shows.
	Exact float64
	// Alike is the share of an attacker who knows it of similar rows: a random half of the column's
	// rows is known, and the other half is attacked. Away is then how far a guess by rank is from
	// the value, as a share of all rows. For other attacks it is 0.
	Alike, Away float64
}

// Column attacks the cells of a column, which is named as in the schema: "users.email",
// "app.users.email". db must be opened through Colseal's driver. Column uses no key. It holds each
// different cell in memory.
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
	byKey, tokens := map[uint32][]shown{}, map[uint32][]shown{}
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
		if c.Suite().HasTerms() {
			tokens[h.KeyID] = append(tokens[h.KeyID], shown{[]byte(strings.Join(codec.Tokens(cell), " ")), n})
		}
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
	var attacks []attack
	if c.Mode == schema.ModeOrdered {
		attacks = append(attacks, attack{Attack{Mode: schema.ModeOrdered, How: "by rank"}, byKey, (*population).byRank})
	}
	if c.EqualCells() {
		attacks = append(attacks, attack{Attack{Mode: schema.ModeDeterministic, How: "by frequency"}, byKey, (*population).byFrequency})
	}
	if c.Suite().HasTerms() {
		tokens = r.terms(tokens)
		attacks = append(attacks, attack{Attack{Mode: c.Mode, Terms: true, How: "by frequency of all tokens of a cell"}, tokens, (*population).byFrequency})
	}
	switch {
	case c.EqualCells():
		attacks = append(attacks, attack{Attack{Mode: schema.ModeRandomized, How: "the most frequent value for every row"}, byKey, (*population).mostFrequent})
	case c.Suite().HasTerms():
		attacks = append(attacks, attack{Attack{Mode: schema.ModeRandomized, How: "the most frequent terms for every row"}, tokens, (*population).mostFrequent})
	}
	r.attack(attacks)
	return r
}

// terms counts what tokens show, and returns the different sets of tokens with their numbers of
// rows.
func (r *Report) terms(byKey map[uint32][]shown) map[uint32][]shown {
	r.Terms = &Terms{}
	sets := map[uint32][]shown{}
	for key, cells := range byKey {
		rows, of := map[string]int{}, map[string]int{}
		for _, c := range cells {
			of[string(c.cell)] += c.rows
			for token := range strings.FieldsSeq(string(c.cell)) {
				rows[token] += c.rows
			}
		}
		r.Terms.Tokens += len(rows)
		for _, n := range rows {
			r.Terms.Commonest = max(r.Terms.Commonest, n)
		}
		for set, n := range of {
			sets[key] = append(sets[key], shown{[]byte(set), n})
			if n == 1 {
				r.Terms.Apart++
			}
			for token := range strings.FieldsSeq(set) {
				if rows[token] > 1 {
					r.Terms.Shared += n
					break
				}
			}
		}
	}
	return sets
}

// shown is a cell, or the tokens of one, and how many rows have it.
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

// An attack is to be run on what shows under each key.
type attack struct {
	Attack
	on     map[uint32][]shown
	method func(*population, *rand.Rand) (right int, far float64)
}

// attack runs attacks.
func (r *Report) attack(attacks []attack) {
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // draws samples
	for _, a := range attacks {
		var all []*population
		for _, key := range slices.Sorted(maps.Keys(a.on)) {
			slices.SortFunc(a.on[key], func(a, b shown) int { return bytes.Compare(a.cell, b.cell) })
			p := &population{}
			for _, v := range a.on[key] {
				p.rows = append(p.rows, v.rows)
			}
			all = append(all, p)
		}
		a.Exact, _ = mean(all, random, (*population).same, a.method)
		a.Alike, a.Away = mean(all, random, (*population).split, a.method)
		r.Attacks = append(r.Attacks, a.Attack)
	}
}

// mean attacks again and again, until the mean share of the rows that a method gets right is
// precise enough.
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
