package queries

import (
	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
)

// A goal bounds one row of one case.
type goal struct {
	what, at, name string
	of             func(Result) stat.Ratio
	most           float64
	limit          string
	beyond         bool // the bound is on what is beyond the A/A row
}

func goals() []goal {
	plain := func(r Result) stat.Ratio { return r.Plain }
	cipher := func(r Result) stat.Ratio { return r.Cipher }
	return []goal{
		{"nothing tagged, SELECT", casePoint, nameUntagged, plain, 1.02, "≤ +2 % beyond A/A", true},
		{"nothing tagged, INSERT", caseInsert, nameUntagged, plain, 1.02, "≤ +2 % beyond A/A", true},
		{"SELECT by primary key, 3 sealed cells", casePoint, nameSealed, plain, 1.05, "≤ +5 %", false},
		{"INSERT, 3 sealed cells, asynchronous commit", caseInsert, nameSealed, plain, 1.07, "≤ +7 %", false},
		{"INSERT, 3 sealed cells, fsync", caseDurable, nameSealed, plain, 1.03, "≤ +3 %", false},
		{"SELECT 1000 × 3 into strings ÷ plaintext", caseMany, nameSealed, plain, 2, "≤ 2.0×", false},
		{"SELECT 1000 × 3 into strings ÷ the same ciphertext undecrypted", caseMany, nameSealed, cipher, 1.2, "≤ 1.2×", false},
		{"INSERT 100 × 3 ÷ plaintext", caseBatch, nameSealed, plain, 1.6, "≤ 1.6×", false},
		{"10 × the rows: time per row", caseRows, nameRows, cipher, 1.1, "flat within 10 %", false},
	}
}

// Goals compares with what was aimed at.
func (o *Outcome) Goals() []doc.Goal {
	var all []doc.Goal
	for _, g := range goals() {
		for _, r := range o.Results {
			if r.Case != g.at || r.Name != g.name {
				continue
			}
			show := stat.Ratio.String
			if g.most < 1.15 {
				show = stat.Ratio.Percent
			}
			again, most := o.again(r), g.most
			if g.beyond && again.Median > 1 {
				most += again.Median - 1
			}
			all = append(all, doc.Goal{What: g.what + ", " + connections(r.Conns), Limit: g.limit, Measured: show(g.of(r)),
				Noise: show(again), Verdict: judge(g.of(r), again, most)})
		}
	}
	return all
}

// judge is doc.Judge, unless plain pgx differs from itself by more than what is to be
// shown, or by a twentieth if that is less.
func judge(r, again stat.Ratio, most float64) doc.Verdict {
	if noise := (again.High - again.Low) / 2; noise > max(most-1, 0.05) {
		return doc.NotShown
	}
	return doc.Judge(r, most)
}

// again is the A/A ratio beside a result.
func (o *Outcome) again(beside Result) stat.Ratio {
	for _, r := range o.Results {
		if r.Case == beside.Case && r.Conns == beside.Conns && r.Name == nameAgain {
			return r.Plain
		}
	}
	return stat.Exactly(1)
}
