package reseal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// passKeys judges keys by what the keyring says at the beginning of a pass, and opens and
// seals cells. Its cache is its own and lives for a pass: the program's may not have looked at
// the keyring since the key was changed.
type passKeys struct {
	db      *sealeddb.DB
	store   *keyring.Store
	opts    *Options
	cache   *keycache.Cache // nil until a cell is sealed
	records map[uint32]keyring.Key
	sealing map[scopePurpose]keyring.Key
	pending time.Duration // until the last of the newer search keys begins to seal
}

type scopePurpose struct {
	purpose keyring.Purpose
	scope   string
}

func newPassKeys(db *sealeddb.DB, store *keyring.Store, opts *Options) *passKeys {
	return &passKeys{
		db: db, store: store, opts: opts,
		records: map[uint32]keyring.Key{}, sealing: map[scopePurpose]keyring.Key{},
	}
}

func (k *passKeys) close() error {
	if k.cache == nil {
		return nil
	}
	return k.cache.Close()
}

func (k *passKeys) openCache() {
	if k.cache == nil {
		k.cache = k.db.NewCache(k.store)
	}
}

// prefetch unwraps keys side by side. A failure shows when a cell is opened.
func (k *passKeys) prefetch(ctx context.Context, ids []uint32) {
	if len(ids) > 0 {
		k.openCache()
		_ = k.cache.Prefetch(ctx, ids)
	}
}

// know reads the records of keys that are not known yet. Those that the keyring does not
// have are remembered as records without an id.
func (k *passKeys) know(ctx context.Context, ids []uint32) error {
	var ask []uint32
	for _, id := range ids {
		if _, ok := k.records[id]; !ok && !slices.Contains(ask, id) {
			ask = append(ask, id)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	records, err := k.store.Keys(ctx, ask)
	if err != nil {
		return err
	}
	for _, id := range ask {
		k.records[id] = keyring.Key{}
	}
	for _, rec := range records {
		k.records[rec.ID] = rec
	}
	return nil
}

// judge says how a cell with this header stands in a column. Its key must be known.
func (k *passKeys) judge(ctx context.Context, col *schema.Column, h codec.Header) (State, error) {
	rec := k.records[h.KeyID]
	switch {
	case rec.ID == 0:
		return StateUnknown, nil
	case rec.Destroyed:
		return StateDestroyed, nil
	case h.Suite != col.Suite() || rec.Retired:
		return StateOld, nil
	case rec.Purpose == keyring.PurposeWriter && rec.Age < keyring.WriterAge:
		return StateCurrent, nil
	}
	now, err := k.sealsNow(ctx, scopePurpose{purposeOf(col), rec.Scope})
	if err != nil {
		return 0, err
	}
	if rec.Purpose != purposeOf(col) || rec.Epoch < now.Epoch {
		return StateOld, nil
	}
	return StateCurrent, nil
}

func purposeOf(col *schema.Column) keyring.Purpose {
	if col.Suite().Searchable() {
		return keyring.PurposeSearch
	}
	return keyring.PurposeData
}

// sealsNow returns the key that seals for a purpose and scope, by the keyring's facts. If
// there is none, as after the last one was retired, it is the next one, which is yet to be made.
func (k *passKeys) sealsNow(ctx context.Context, at scopePurpose) (keyring.Key, error) {
	if rec, ok := k.sealing[at]; ok {
		return rec, nil
	}
	ring, err := k.store.Ring(ctx, at.purpose, at.scope)
	if err != nil {
		return keyring.Key{}, err
	}
	rec := keyring.Key{Epoch: ring.Next}
	for i, serving := range keyring.Sealing(ring.Keys) {
		if serving.SealsFor < 0 {
			k.pending = max(k.pending, -serving.SealsFor)
		} else if i == 0 {
			rec = serving
		}
	}
	k.sealing[at] = rec
	return rec, nil
}

// reseal returns the cell that takes the place of one in some state; nil if it stays. The error
// is a refusal of the cell's own (see skipped), or something that ends the work.
func (k *passKeys) reseal(ctx context.Context, col *schema.Column, h codec.Header, cell []byte, state State) ([]byte, error) {
	k.openCache()
	old, err := k.cache.Opener(ctx, front.OpeningColumn(col, h), h.KeyID)
	if err != nil {
		return nil, err
	}
	kind := col.Kind
	encoding, err := old.Open(nil, kind, cell)
	var other *codec.KindError
	if errors.As(err, &other) && other.Holds == k.opts.FromKind {
		kind = other.Holds
		encoding, err = old.Open(nil, kind, cell)
	}
	if err != nil {
		return nil, err
	}
	defer clear(encoding)
	if kind == col.Kind && state != StateOld {
		return nil, nil
	}
	if kind != col.Kind || h.Suite != col.Suite() { // the canonical encoding differs between the suites, too
		given := encoding
		texts := codec.Session{TimeZone: k.opts.TimeZone}
		if encoding, err = texts.AppendConverted(nil, col.Kind, col.Suite(), kind, given); err != nil {
			return nil, err
		}
		defer clear(given)
	}
	now, err := k.sealer(ctx, col, k.records[h.KeyID].Scope)
	if err != nil {
		return nil, err
	}
	return now.Seal(nil, col.Kind, encoding)
}

// sealer returns the key for one more cell.
func (k *passKeys) sealer(ctx context.Context, col *schema.Column, scope string) (*codec.Key, error) {
	ctx = keyring.WithScope(ctx, scope)
	if !col.Suite().Searchable() {
		return k.cache.Sealer(ctx, front.KeyColumn(col), 1)
	}
	live, err := k.cache.SearchKeys(ctx, front.KeyColumn(col))
	if err != nil {
		return nil, err
	}
	return live[0], nil
}

// skipped reports whether an error is about one cell, or its key, so that the others can still be
// sealed. Whoever may insert into the keyring can forge a cell under a row that is no key.
func skipped(err error) bool {
	return errors.Is(err, codec.ErrAuth) || errors.Is(err, codec.ErrFormat) || errors.Is(err, codec.ErrKind) || errors.Is(err, codec.ErrValue) ||
		errors.Is(err, keyring.ErrKeyNotFound) || errors.Is(err, keyring.ErrKeyDestroyed) || errors.Is(err, keyring.ErrKeyInvalid)
}
