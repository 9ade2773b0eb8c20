package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// columnKeys are the keys of one column for one statement.
type columnKeys struct {
	col   *schema.Column
	cells int
	data  *codec.Key   // randomized
	live  []*codec.Key // deterministic
}

// count notes that so many cells of a column are to be sealed.
func (s *sealer) count(col *schema.Column, cells int) {
	if cells == 0 {
		return
	}
	k := s.keysOf(col)
	if k == nil {
		if cap(s.keys) == 0 {
			s.keys = make([]columnKeys, 0, 4)
		}
		s.keys = append(s.keys, columnKeys{col: col})
		k = &s.keys[len(s.keys)-1]
	}
	k.cells += cells
}

func (s *sealer) keysOf(col *schema.Column) *columnKeys {
	for i := range s.keys {
		if s.keys[i].col == col {
			return &s.keys[i]
		}
	}
	return nil
}

// findKeys asks once per column.
func (s *sealer) findKeys(p *sqlplan.Plan) error {
	if err := s.askKeys(); err != nil || !p.Search {
		return err
	}
	// The text compares with the cells of as many search keys as there were when it was
	// planned. A search for fewer than there are would miss rows, and say nothing.
	for i := range s.keys {
		if live := s.keys[i].live; live != nil && len(live) != max(p.SearchKeys, 1) {
			return keyError(s.keys[i].col, errKeysChanged)
		}
	}
	return nil
}

var errKeysChanged = fmt.Errorf("%w: the search keys changed while the statement was made: run it again", keyring.ErrKeyUnavailable)

// keysChanged reports whether a statement is to be planned again, because it met other
// search keys than it was planned for. They change once in months, and the next reading of
// them holds for minutes.
func keysChanged(err error, try int) bool {
	return err != nil && try < 3 && errors.Is(err, errKeysChanged)
}

func (s *sealer) askKeys() error {
	if len(s.keys) == 0 {
		return nil
	}
	source, err := s.c.st.ring.keys(s.ctx)
	if err != nil {
		return keyError(s.keys[0].col, err)
	}
	for i := range s.keys {
		if err := s.keys[i].find(s.ctx, source); err != nil {
			return keyError(s.keys[i].col, err)
		}
	}
	return nil
}

func (k *columnKeys) find(ctx context.Context, source keySource) (err error) {
	col := keycache.Column{Identity: k.col.Identity(), Suite: k.col.Suite()}
	if col.Suite == codec.SuiteDeterministic {
		k.live, err = source.SearchKeys(ctx, col)
		return err
	}
	k.data, err = source.Sealer(ctx, col, k.cells)
	return err
}

// key returns the key for a use.
func (s *sealer) key(use *sqlplan.Use) (*codec.Key, error) {
	k := s.keysOf(use.Column)
	switch {
	case k == nil:
		return nil, errors.New("no key was asked for")
	case k.data != nil:
		return k.data, nil
	case use.Key < len(k.live):
		return k.live[use.Key], nil
	}
	// A search key was retired between planning and sealing.
	return nil, errKeysChanged
}
