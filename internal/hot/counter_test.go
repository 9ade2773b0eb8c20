package hot

import (
	"sync"
	"testing"
)

func TestCounter(t *testing.T) {
	var c Counter
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.Add(2)
			}
		})
	}
	all.Wait()
	if n := c.Load(); n != 16000 {
		t.Errorf("counted %d", n)
	}
}
