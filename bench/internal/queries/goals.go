package queries

import (
	"context"
	"fmt"
	"slices"

	"github.com/colseal/colseal/bench/internal/table"
)

// A goal is what sealed columns may cost in one case, at most. Exactly one of the measures is set.
type goal struct {
	of       string // the case
	conns    int
	replayed bool

	ratio  float64 // to plain pgx
	micros float64 // more than plain pgx
	cipher float64 // ratio to the ciphertext as it is
	allocs bool    // no more allocations than plain pgx
}

var goals = []goal{
	{of: nativeFront + selectOne, conns: 1, ratio: 1.04},
	{of: nativeFront + insertOne, conns: 1, ratio: 1.05},
	{of: nativeFront + selectMany, conns: 1, ratio: 1.55},
	{of: nativeFront + selectMany, conns: 8, ratio: 1.70},
	{of: nativeFront + copyMany, conns: 1, ratio: 1.60},
	{of: driverFront + selectOne, conns: 1, ratio: 1.06},
	{of: driverFront + insertOne, conns: 1, ratio: 1.07},
	{of: driverFront + selectMany, conns: 1, ratio: 1.65},
	{of: driverFront + selectMany, conns: 1, cipher: 1.15},
	{of: nativeFront + selectMany, conns: 1, cipher: 1.25},

	{of: nativeFront + selectOne, conns: 1, replayed: true, micros: 0.55},
	{of: nativeFront + selectOne, conns: 1, replayed: true, allocs: true},
	{of: nativeFront + insertOne, conns: 1, replayed: true, micros: 0.8},
	{of: nativeFront + insertOne, conns: 1, replayed: true, allocs: true},
	{of: nativeFront + selectMany, conns: 1, replayed: true, ratio: 2.95},
	{of: nativeFront + copyMany, conns: 1, replayed: true, allocs: true},
	{of: driverFront + selectOne, conns: 1, replayed: true, micros: 0.8},
	{of: driverFront + insertOne, conns: 1, replayed: true, micros: 1.0},
	{of: driverFront + selectMany, conns: 1, replayed: true, ratio: 2.4},
}

// quiet is by how much the interval of plain pgx against itself may leave 1 in a run on a server
// that counts.
const quiet = 0.03

// Goals measures the cases that have a goal, on a server and replayed, and compares.
func Goals(ctx context.Context, o Options, progress func(float64)) (server string, tables []table.Table, err error) {
	o.goals = true
	onServer, err := Run(ctx, o, func(done float64) { progress(done / 2) })
	if err != nil {
		return "", nil, err
	}
	o.Replayed = true
	replayed, err := Run(ctx, o, func(done float64) { progress(0.5 + done/2) })
	if err != nil {
		return "", nil, err
	}
	return onServer.Server, []table.Table{
		goalTable("on a server", onServer.Results, false),
		goalTable("replayed: the program's side alone", replayed.Results, true),
	}, nil
}

// connsOf are the numbers of connections for which a case has goals; none if it has none.
func connsOf(name string, replayed bool) (conns []int) {
	for _, g := range goals {
		if g.of == name && g.replayed == replayed && !slices.Contains(conns, g.conns) {
			conns = append(conns, g.conns)
		}
	}
	return conns
}

func goalTable(title string, results []Result, replayed bool) table.Table {
	t := table.Table{Title: "3 sealed columns, " + title, Columns: []string{"case", "against", "at most", "median (95 %)", "plain pgx, again (A/A)", "rounds", "holds"},
		Note: fmt.Sprintf("A run on a server counts if the whole interval of A/A is within ±%.0f %%.", quiet*100)}
	if replayed {
		t.Note = ""
	}
	for _, g := range goals {
		if g.replayed != replayed {
			continue
		}
		find := func(name string) Result {
			i := slices.IndexFunc(results, func(r Result) bool { return r.Case == g.of && r.Conns == g.conns && r.Name == name })
			if i < 0 {
				return Result{}
			}
			return results[i]
		}
		g.add(&t, find(namePlain), find(nameAgain), find(nameSealed))
	}
	return t
}

// add adds the row of a goal.
func (g *goal) add(t *table.Table, plain, again, sealed Result) {
	name, holds := g.of+", "+connections(g.conns), "no"
	row := func(met bool, cells ...any) {
		if met {
			holds = "yes"
		}
		if !g.replayed && (again.Plain.Low < 1-quiet || again.Plain.High > 1+quiet) {
			holds += ", but A/A does not"
		}
		t.Add(append(append([]any{name}, cells...), sealed.Rounds, holds)...)
	}
	switch {
	case g.ratio > 0:
		row(sealed.Plain.Median <= g.ratio, "plain pgx", fmt.Sprintf("%.2f ×", g.ratio), sealed.Plain, again.Plain)
	case g.cipher > 0:
		row(sealed.Base.Median <= g.cipher, "the ciphertext as it is", fmt.Sprintf("%.2f ×", g.cipher), sealed.Base, again.Plain)
	case g.micros > 0:
		row(sealed.More.Median <= g.micros, "plain pgx", fmt.Sprintf("+%.2f µs", g.micros), sealed.More, again.More)
	default:
		row(sealed.Allocs <= plain.Allocs, "plain pgx", fmt.Sprintf("%.0f allocations", plain.Allocs), fmt.Sprintf("%.0f", sealed.Allocs), fmt.Sprintf("%.0f", again.Allocs))
	}
}
