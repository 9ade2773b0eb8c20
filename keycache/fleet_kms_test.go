package keycache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/colseal/colseal/kms"
)

// A service is one of the fleet's key services, as a process or an operator reaches it.
type service struct {
	*simKMS
	reach func(ctx context.Context, k *simKMS, op string, work func() error) error
}

var (
	_ kms.Importer = service{}
	_ kms.Matcher  = service{}
	_ kms.Truster  = service{}
)

func (s service) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (dk kms.DataKey, err error) {
	err = s.reach(ctx, s.simKMS, "generate", func() error {
		dk = s.generate(ec)
		return nil
	})
	return dk, err
}

// Wrap is counted, and refused, as making a key is.
func (s service) Wrap(ctx context.Context, plain []byte, ec kms.EncryptionContext) (w kms.Wrapped, err error) {
	err = s.reach(ctx, s.simKMS, "generate", func() error {
		w = s.wrap(plain, ec)
		return nil
	})
	return w, err
}

func (s service) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) (plain []byte, err error) {
	err = s.reach(ctx, s.simKMS, "unwrap", func() (err error) {
		plain, err = s.unwrap(w, ec)
		return err
	})
	return plain, err
}

func (s service) Rewrap(ctx context.Context, w kms.Wrapped, from, to kms.EncryptionContext) (next kms.Wrapped, err error) {
	err = s.reach(ctx, s.simKMS, "rewrap", func() (err error) {
		next, err = s.rewrap(w, from, to)
		return err
	})
	return next, err
}

func (s service) Matches(w kms.Wrapped) bool { return strings.HasPrefix(w.KeyID, s.name) }

func (s service) Trusts(kek string) bool { return strings.HasPrefix(kek, s.name) }

// wrapper is the fleet's key service, or both of them.
func (f *world) wrapper(reach func(context.Context, *simKMS, string, func() error) error) kms.Wrapper {
	if len(f.kmss) == 1 {
		return service{f.kms, reach}
	}
	m, err := kms.NewMulti(kms.MultiConfig{}, service{f.kmss[0], reach}, service{f.kmss[1], reach})
	if err != nil {
		panic(err)
	}
	return m
}

const officeLatency = 50 * time.Millisecond

// office is the way of an operator to the key services.
func (f *world) office() kms.Wrapper {
	return f.wrapper(func(ctx context.Context, k *simKMS, op string, work func() error) error {
		if op == "unwrap" && len(f.kmss) == 1 {
			f.wrong("an operator unwraps a key")
		}
		if err := k.enter(ctx, "operator", officeLatency); err != nil {
			return err
		}
		return work()
	})
}

// reach is the way of a process to a key service.
func (l *life) reach(ctx context.Context, k *simKMS, op string, work func() error) error {
	err := l.step(func() error {
		l.mu.Lock()
		latency := 20*time.Millisecond + time.Duration(l.rnd.Int64N(int64(60*time.Millisecond)))
		l.mu.Unlock()
		if err := k.enter(ctx, op, latency); err != nil {
			return err
		}
		return work()
	})
	if err != nil && kms.ErrorClass(err) == "other" {
		err = errors.Join(kms.ErrUnavailable, err)
	}
	return err
}

// GenerateDataKey implements [kms.Wrapper], by the fleet's services.
func (l *life) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	dk, err := l.services.GenerateDataKey(ctx, ec)
	if err == nil {
		l.came(ec)
	}
	return dk, err
}

// Unwrap implements [kms.Wrapper], by the fleet's services.
func (l *life) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	plain, err := l.services.Unwrap(ctx, w, ec)
	if err == nil {
		l.came(ec)
	}
	return plain, err
}
