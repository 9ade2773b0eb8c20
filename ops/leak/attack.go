package leak

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// population holds, for each different value of a column, in the order of the cells, its number of
// rows: of all, of those that the attacker knows, and of those that are attacked. A value's number
// tells whether a guess is right. An attack uses only what the cells show.
type population struct {
	rows, known, attacked []int
}

// same has all rows attacked by somebody who knows how often each value occurs in them.
func (p *population) same(*rand.Rand) { p.known, p.attacked = p.rows, p.rows }

// split puts each row into one of the halves.
func (p *population) split(random *rand.Rand) {
	p.known, p.attacked = make([]int, len(p.rows)), make([]int, len(p.rows))
	for i, n := range p.rows {
		k := 0
		for left := n; left > 0; left -= 64 {
			k += bits.OnesCount64(random.Uint64() >> max(64-left, 0))
		}
		p.known[i], p.attacked[i] = k, n-k
	}
}

// mostFrequent is the attack that needs no cell. It guesses for every row the value that is known
// most often.
func (p *population) mostFrequent(*rand.Rand) (right int, far float64) {
	most := 0
	for i, k := range p.known {
		if k > p.known[most] {
			most = i
		}
	}
	return p.attacked[most], 0
}

// byFrequency is frequency analysis. It guesses that the cell which occurs most often is the value
// that is known most often, the next one the next, and so on. Among those that occur equally often
// it chooses at random.
func (p *population) byFrequency(random *rand.Rand) (right int, far float64) {
	cells, values := mostFirst(p.attacked, random), mostFirst(p.known, random)
	for i := range min(len(cells), len(values)) {
		if cells[i] == values[i] {
			right += p.attacked[cells[i]]
		}
	}
	return right, 0
}

// mostFirst returns the numbers of what occurs, the most frequent first.
func mostFirst(rows []int, random *rand.Rand) []int {
	var order []int
	for i, n := range rows {
		if n > 0 {
			order = append(order, i)
		}
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(rows[j], rows[i]) })
	return order
}

// byRank is the sorting attack of somebody who knows the distribution. For a cell that stands
// between the 60th and the 63rd hundredth of the sorted rows, it guesses the value that fills most
// of this place among the known ones. far is the sum over all rows of the distance between guess
// and value, as a share of all rows.
func (p *population) byRank(*rand.Rand) (right int, far float64) {
	cells, values := float64(sum(p.attacked)), float64(sum(p.known))
	if values == 0 {
		return 0, 0
	}
	middle, n := make([]float64, len(p.rows)), 0
	all := float64(sum(p.rows))
	for i, k := range p.rows {
		middle[i] = (float64(n) + float64(k)/2) / all
		n += k
	}
	before, first, firstAt := 0, 0, 0 // known rows before the value first begins at firstAt
	for i, k := range p.attacked {
		if k == 0 {
			continue
		}
		low, high := float64(before)/cells, float64(before+k)/cells
		before += k
		for float64(firstAt+p.known[first])/values <= low {
			firstAt += p.known[first]
			first++
		}
		guess, most := first, 0.0
		for j, at := first, firstAt; j < len(p.known) && float64(at)/values < high; j++ {
			begin, end := float64(at)/values, float64(at+p.known[j])/values
			if o := min(end, high) - max(begin, low); o > most {
				guess, most = j, o
			}
			at += p.known[j]
		}
		if guess == i {
			right += k
		}
		far += float64(k) * math.Abs(middle[guess]-middle[i])
	}
	return right, far
}
