package driver

import (
	"context"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// literalKeys are what the literals of a prepared text were sealed under. The text is as it
// is; when it is used in another scope, or when the keys are others, it must be made again:
// it would look for cells that are no more, and write such that nobody finds, that are
// under a key which was revoked, or that nobody opens because it was destroyed.
type literalKeys struct {
	any    bool // there are literals
	scope  string
	search *schema.Column // a deterministic column that has one, or nil
	live   []uint32       // the search keys then, in order
	random *schema.Column // a randomized column that has one, or nil: their data key is the same
	data   uint32         // the data key then
}

// literalKeys tells what literals was given keys for.
func (s *sealer) literalKeys(p *sqlplan.Plan) literalKeys {
	l := literalKeys{any: len(s.keys) > 0 && len(p.Literals) > 0, scope: keyring.ScopeOf(s.ctx)}
	for i := range s.keys {
		switch k := &s.keys[i]; {
		case !l.any:
		case k.live != nil:
			l.search, l.live = k.col, keyIDs(k.live)
		case l.random == nil:
			l.random, l.data = k.col, k.data.Header().KeyID
		case l.data != k.data.Header().KeyID:
			l.data = 0 // it was followed just now: which is nobody's, so that the next use makes them anew
		}
	}
	return l
}

// current reports whether the literals would be sealed under the same keys now.
func (l *literalKeys) current(ctx context.Context, c *conn) (bool, error) {
	if !l.any {
		return true, nil
	}
	if l.scope != keyring.ScopeOf(ctx) {
		return false, nil
	}
	if l.search != nil {
		source, err := c.st.ring.keys(ctx)
		if err != nil {
			return false, keyError(l.search, err)
		}
		live, err := source.SearchKeys(ctx, keyColumn(l.search))
		if err != nil {
			return false, keyError(l.search, err)
		}
		if !slices.Equal(l.live, keyIDs(live)) {
			return false, nil
		}
	}
	return l.dataCurrent(ctx, c)
}

func (l *literalKeys) dataCurrent(ctx context.Context, c *conn) (bool, error) {
	if l.random == nil {
		return true, nil
	}
	source, err := c.st.ring.keys(ctx)
	if err != nil {
		return false, keyError(l.random, err)
	}
	key, err := source.Sealer(ctx, keyColumn(l.random), 0) // which seals nothing
	if err != nil {
		return false, keyError(l.random, err)
	}
	return l.data == key.Header().KeyID, nil
}

func keyIDs(keys []*codec.Key) []uint32 {
	ids := make([]uint32, len(keys))
	for i, k := range keys {
		ids[i] = k.Header().KeyID
	}
	return ids
}
