package kms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// An Importer is a [Wrapper] that can wrap a data key that was made elsewhere.
type Importer interface {
	Wrapper

	// Wrap wraps a plaintext of DataKeySize bytes under the current KEK. The
	// plaintext stays the caller's.
	Wrap(ctx context.Context, plaintext []byte, ec EncryptionContext) (Wrapped, error)
}

// A Matcher is a Wrapper that can tell without asking its service that it could
// not open a wrapped key, because that is of another Region or file. It answers
// true when it does not know.
type Matcher interface {
	Matches(Wrapped) bool
}

// MultiConfig says how a [Multi] deals with KEKs that do not answer. The zero value
// is ready to use.
type MultiConfig struct {
	// MinWraps is how many KEKs must have wrapped a new data key; 0 means all of
	// them. With fewer, new keys can be made while a KEK is unavailable, and lack its
	// wrap until they are rewrapped. A KEK that refuses is never passed over.
	MinWraps int

	// Timeout bounds the call to each KEK, so that one that hangs leaves time for the
	// next; default 2 s. Less when the caller's deadline is nearer.
	Timeout time.Duration

	// Logger is told of KEKs that are passed over, by the events of docs/events.md;
	// nil: nobody is.
	Logger *slog.Logger
}

const (
	multiTimeout = 2 * time.Second
	// multiPause is for how long a KEK that was unavailable is asked after the others.
	multiPause = 10 * time.Second
	// maxMembers bounds the KEKs of a Multi.
	maxMembers = 16
)

// Multi wraps each data key under several KEKs, such as keys of two AWS Regions, and
// opens it with the first that can: when a Region fails, the other goes on.
//
// A data key opens as long as any of its KEKs opens it. So to disable or to deny one
// KEK is not enough to revoke; all must be. When none opens it, one that refused
// decides ([ErrDenied]) over one that is unavailable, and that over a damaged wrap:
// a caller must not go on with a cached key because somebody made the other KEK
// unreachable.
//
// What is stored is one [Wrapped] that holds all wraps, whose KeyID lists the KEKs.
// It is authenticated under the data key: a wrap that was exchanged for that of
// another data key, or left out, makes the whole invalid. Keys that a single
// KEK wrapped before there was a Multi still open, and so does one of the wraps alone,
// if who writes the keyring puts it in the place of all: that takes away what they
// could delete, too, and gives nothing. It is safe for concurrent use.
type Multi struct {
	members []*member
	cfg     MultiConfig
}

// member is one of the KEKs.
type member struct {
	Importer
	last atomic.Int64 // asked after the others until then, in Unix nanoseconds
}

var (
	_ Importer = (*Multi)(nil)
	_ Checker  = (*Multi)(nil)
	_ Truster  = (*Multi)(nil)
)

// NewMulti returns a Multi of 1 to 16 KEKs, which are asked in their order. They may
// change: a KEK that is added wraps old keys when they are rewrapped, and one that is
// left out is no longer asked.
func NewMulti(cfg MultiConfig, keks ...Importer) (*Multi, error) {
	if len(keks) == 0 || len(keks) > maxMembers {
		return nil, fmt.Errorf("kms: a Multi of %d KEKs; give 1 to %d", len(keks), maxMembers)
	}
	if cfg.MinWraps < 0 || cfg.MinWraps > len(keks) {
		return nil, fmt.Errorf("kms: MultiConfig.MinWraps is %d, with %d KEKs; give 1 to %d, or 0 for all", cfg.MinWraps, len(keks), len(keks))
	}
	if cfg.MinWraps == 0 {
		cfg.MinWraps = len(keks)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = multiTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Multi{cfg: cfg}
	for i, k := range keks {
		if k == nil {
			return nil, fmt.Errorf("kms: KEK %d of the Multi is nil", i+1)
		}
		m.members = append(m.members, &member{Importer: k})
	}
	return m, nil
}

// OpenAll opens each URL as [Open] does. It returns the Wrapper of a single URL as it
// is, and a Multi of several, in their order and with the defaults of [MultiConfig].
func OpenAll(ctx context.Context, urls ...string) (Wrapper, error) {
	var keks []Importer
	for i, u := range urls {
		w, err := Open(ctx, u)
		if err != nil || len(urls) == 1 {
			return w, err
		}
		k, ok := w.(Importer)
		if !ok {
			return nil, fmt.Errorf("kms: URL %d is of a KMS that cannot wrap keys made elsewhere, which several together need", i+1)
		}
		keks = append(keks, k)
	}
	return NewMulti(MultiConfig{}, keks...)
}

// GenerateDataKey implements [Wrapper]: the first KEK that is available makes the key,
// and the others wrap it.
func (m *Multi) GenerateDataKey(ctx context.Context, ec EncryptionContext) (DataKey, error) {
	const op = "generate data key"
	f := failures{op: op}
	asked := map[*member]wrapping{}
	for i, k := range m.order() {
		left := len(m.members) - i + len(m.members) - 1 // each may make it, then the others wrap it
		key, err := ask(ctx, m, k, left, func(ctx context.Context) (DataKey, error) { return k.GenerateDataKey(ctx, ec) })
		asked[k] = wrapping{key.Wrapped, err}
		if err == nil {
			w, err := m.wrap(ctx, op, key.Plaintext, ec, asked, m.cfg.MinWraps)
			if err != nil {
				key.Wipe()
				return DataKey{}, err
			}
			return DataKey{Plaintext: key.Plaintext, Wrapped: w}, nil
		}
		f.add(err)
		if !m.enough(&f, m.cfg.MinWraps) {
			break
		}
	}
	return DataKey{}, f.err(ctx)
}

// Wrap implements [Importer].
func (m *Multi) Wrap(ctx context.Context, plaintext []byte, ec EncryptionContext) (Wrapped, error) {
	return m.wrap(ctx, "wrap data key", plaintext, ec, nil, m.cfg.MinWraps)
}

// Unwrap implements [Wrapper]: KEKs that were unavailable a moment ago are asked last.
func (m *Multi) Unwrap(ctx context.Context, w Wrapped, ec EncryptionContext) ([]byte, error) {
	return m.unwrap(ctx, "unwrap data key", w, ec)
}

// Rewrap implements [Wrapper]: the key is unwrapped, and wrapped again under every KEK.
// Its plaintext passes through this process. All KEKs must answer, whatever MinWraps
// is, so that no wrap is lost.
func (m *Multi) Rewrap(ctx context.Context, w Wrapped, from, to EncryptionContext) (Wrapped, error) {
	const op = "rewrap data key"
	plaintext, err := m.unwrap(ctx, op, w, from)
	if err != nil {
		return Wrapped{}, err
	}
	defer clear(plaintext)
	return m.wrap(ctx, op, plaintext, to, nil, len(m.members))
}

// Trusts implements [Truster]: one of its KEKs does.
func (m *Multi) Trusts(kek string) bool {
	return slices.ContainsFunc(m.members, func(k *member) bool {
		t, ok := k.Importer.(Truster)
		return ok && t.Trusts(kek)
	})
}

// Check implements [Checker]: every KEK that can be checked must be usable.
func (m *Multi) Check(ctx context.Context) error {
	f := failures{op: "check keys"}
	for i, k := range m.members {
		c, ok := k.Importer.(Checker)
		if !ok {
			continue
		}
		if _, err := ask(ctx, m, k, len(m.members)-i, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Check(ctx) }); err != nil {
			f.add(err)
		}
	}
	if len(f.errs) == 0 {
		return nil
	}
	return f.err(ctx)
}

// wrapping is what a KEK answered.
type wrapping struct {
	w   Wrapped
	err error
}

// wrap wraps a plaintext under the KEKs that were not asked yet, and puts all together.
func (m *Multi) wrap(ctx context.Context, op string, plaintext []byte, ec EncryptionContext, asked map[*member]wrapping, need int) (Wrapped, error) {
	f := failures{op: op}
	var wraps []Wrapped
	for i, k := range m.members {
		a, ok := asked[k]
		if !ok {
			a.w, a.err = ask(ctx, m, k, len(m.members)-i, func(ctx context.Context) (Wrapped, error) { return k.Wrap(ctx, plaintext, ec) })
		}
		if a.err == nil {
			wraps = append(wraps, a.w)
		} else if f.add(a.err); !m.enough(&f, need) {
			return Wrapped{}, f.err(ctx)
		}
	}
	w, err := pack(wraps, plaintext)
	if err != nil {
		return Wrapped{}, &Error{Op: op, Class: ErrUnavailable, Reason: err.Error()}
	}
	if len(f.errs) > 0 {
		m.tell(ctx, eventWrapsMissing, w.KeyID, &f)
	}
	return w, nil
}

// The events of a Multi. internal/audit, which knows this package, has them in its list.
const (
	eventWrapsMissing = "colseal.kms.wraps_missing"
	eventPassedOver   = "colseal.kms.passed_over"
)

// tell logs that KEKs failed, and which one did the work all the same.
func (m *Multi) tell(ctx context.Context, event, kek string, f *failures) {
	err := f.err(ctx)
	m.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, event, slog.String("kek", kek), slog.Int("missing", len(f.errs)),
		slog.String("error_class", ErrorClass(err)), slog.String("error", err.Error()))
}

// enough tells whether a key can still get the wraps that it needs. A KEK that refuses
// ends it: that does not pass by itself.
func (m *Multi) enough(f *failures, need int) bool {
	refused := slices.ContainsFunc(f.errs, func(err error) bool { return !errors.Is(classOf(err), ErrUnavailable) })
	return !refused && len(m.members)-len(f.errs) >= need
}

// unwrap opens a key with the first KEK that can.
func (m *Multi) unwrap(ctx context.Context, op string, w Wrapped, ec EncryptionContext) ([]byte, error) {
	wraps, tag, err := unpack(w)
	if err != nil {
		return nil, &Error{Op: op, Class: ErrInvalidWrapped, Reason: err.Error(), Hint: "restore the row of the key table"}
	}
	f := failures{op: op}
	plaintext := m.open(ctx, &f, wraps, ec)
	if plaintext == nil {
		return nil, f.err(ctx)
	}
	if tag != nil && !hmac.Equal(tag, packTag(plaintext, w.Blob[:len(w.Blob)-sha256.Size])) {
		clear(plaintext)
		return nil, &Error{Op: op, Class: ErrInvalidWrapped, Reason: "its wraps were changed since they were made", Hint: "restore the row of the key table"}
	}
	return plaintext, nil
}

// open tries every KEK with every wrap that may be its own; nil when none opens.
func (m *Multi) open(ctx context.Context, f *failures, wraps []Wrapped, ec EncryptionContext) []byte {
	for i, k := range m.order() {
		for _, w := range wraps {
			if c, ok := k.Importer.(Matcher); ok && !c.Matches(w) {
				continue
			}
			plaintext, err := ask(ctx, m, k, len(m.members)-i, func(ctx context.Context) ([]byte, error) { return k.Unwrap(ctx, w, ec) })
			if err == nil {
				if len(f.errs) > 0 {
					m.tell(ctx, eventPassedOver, w.KeyID, f)
				}
				return plaintext
			}
			f.add(err)
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, ErrUnavailable) {
				break // for its other wraps, too
			}
		}
	}
	return nil
}

// order returns the KEKs as they are to be asked: those that were unavailable a moment
// ago last.
func (m *Multi) order() []*member {
	now := time.Now().UnixNano()
	late := func(k *member) int {
		if k.last.Load() > now {
			return 1
		}
		return 0
	}
	order := slices.Clone(m.members)
	slices.SortStableFunc(order, func(a, b *member) int { return late(a) - late(b) })
	return order
}

// ask calls one KEK, when left more calls may follow before the caller's deadline.
func ask[T any](ctx context.Context, m *Multi, k *member, left int, call func(context.Context) (T, error)) (T, error) {
	timeout := m.cfg.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)/time.Duration(left))
	}
	cctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, err := call(cctx)
	switch {
	case err == nil:
		k.last.Store(0)
	case errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
		k.last.Store(time.Now().Add(multiPause).UnixNano())
	}
	return v, err
}
