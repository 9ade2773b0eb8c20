package cells

import (
	"fmt"
	"sync"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
	"github.com/colseal/colseal/codec"
)

// The cells of a large result: 1000 rows of three.
const (
	manyCells = 3000
	batchSize = 96 // 32 rows
)

// Parallel tells whether it would help to open the cells of a large result in several
// goroutines: what is gained beside what handing them over costs.
func Parallel(o Options) (doc.Table, error) {
	f, err := newFixture(64)
	if err != nil {
		return doc.Table{}, err
	}
	defer f.close()
	cell := f.sealed(f.key)
	memory := make([]byte, manyCells*len(cell))
	at := func(i int) []byte { return memory[i*len(cell) : (i+1)*len(cell)] }
	open := func(from, to int) {
		for i := from; i < to; i++ {
			copy(at(i), cell)
			if _, err := f.key.OpenInPlace(codec.KindText, at(i)); err != nil {
				panic(err) // the cell was just sealed
			}
		}
	}
	_, err = f.key.OpenInPlace(codec.KindText, append([]byte(nil), cell...))
	if err != nil {
		return doc.Table{}, err
	}
	subjects := []stat.Subject{
		repeated("one after another", func() { open(0, manyCells) }),
		repeated("two goroutines, a half each", func() { halves(open) }),
		repeated(fmt.Sprintf("handed over in batches of %d, two goroutines", batchSize), func() { batches(open, batchSize) }),
		repeated("handed over row by row, two goroutines", func() { batches(open, 3) }),
	}
	times := stat.Blocks(subjects, o.Rounds, 5*o.Block, nil)
	t := doc.Table{Title: fmt.Sprintf("Opening the %d cells of a large result, 64 bytes each", manyCells),
		Columns: []string{"how", "µs", "÷ one after another", "processor time, µs"},
		Notes: []string{"Colseal opens them one after another: database/sql asks for one row at a time and pgx reads them as they arrive, so that " +
			"anything else would have to read ahead, and gains only where a processor has nothing else to do."}}
	for i, s := range subjects {
		t.Add(s.Name, fmt.Sprintf("%.0f", stat.Summarize(times.Wall[i]).Median/1e3), stat.Paired(times.Wall[i], times.Wall[0]),
			fmt.Sprintf("%.0f", stat.Summarize(times.CPU[i]).Median/1e3))
	}
	return t, nil
}

func repeated(name string, one func()) stat.Subject {
	return stat.Subject{Name: name, Run: func(n int) {
		for range n {
			one()
		}
	}}
}

func halves(open func(from, to int)) {
	var other sync.WaitGroup
	other.Go(func() { open(0, manyCells/2) })
	open(manyCells/2, manyCells)
	other.Wait()
}

// batches hands cells over to two goroutines as they would arrive, and waits for all.
func batches(open func(from, to int), size int) {
	work := make(chan int, 4)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for from := range work {
				open(from, min(from+size, manyCells))
			}
		})
	}
	for from := 0; from < manyCells; from += size {
		work <- from
	}
	close(work)
	workers.Wait()
}
