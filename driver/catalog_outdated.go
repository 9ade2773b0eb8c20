package driver

import (
	"context"
	"reflect"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// checkAgain is how long a fact that a refusal had asked for again is believed, whatever
// else is refused because of it. A program may repeat a text that is refused at any rate.
const checkAgain = 5 * time.Second

// outdated reports whether a fact that the last plan was told from memory is no longer
// true, and forgets all facts then. Somebody else may have added a column: a text that is
// forwarded has the server say so, but one that is refused never gets there.
func (c *conn) outdated(ctx context.Context) bool {
	for _, k := range c.catalog.used {
		known, ok := c.st.facts.check(k, time.Now())
		if !ok {
			continue
		}
		now, err := c.catalog.ask(ctx, k.schema, k.name)
		if err != nil {
			return false // the refusal stands: this connection cannot tell more, in a failed transaction for one
		}
		if !reflect.DeepEqual(known, now) {
			c.st.forgetCatalog("a statement was refused, and the table is another one")
			return true
		}
	}
	return false
}

// check returns a fact that may be asked for again, and notes that it is.
func (f *factCache) check(k factKey, now time.Time) (rel *dbcatalog.Relation, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.facts[k]
	if !ok || !known.checked.IsZero() && now.Sub(known.checked) < checkAgain {
		return nil, false
	}
	known.checked = now
	f.facts[k] = known
	return known.rel, true
}
