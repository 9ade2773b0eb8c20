package keycache

import (
	"log/slog"
	"time"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// Defaults and fixed limits. The defaults that a user can change stand beside
// their field in [Config] too.
const (
	defaultRotateEvery = 30 * 24 * time.Hour
	defaultMaxSeals    = 1 << 31
	defaultMaxEntries  = 1024
	defaultStaleWait   = 250 * time.Millisecond
	defaultKMSTimeout  = 5 * time.Second
	defaultKMSParallel = 16

	// sealLimit is half of the bound for random 96-bit nonces under one AES-GCM key
	// (2^32, NIST SP 800-38D, 8.3): no setting passes it. The other half is for what
	// processes seal on credit.
	sealLimit = 1 << 31
)

// Config says how long data keys live. The zero value means the defaults that
// stand at the fields; a negative value means the default as well, except where
// the field says otherwise.
type Config struct {
	// RotateEvery is the age at which a data key stops sealing; it opens for
	// ever. The next one is made ahead of time. Default 30 days.
	RotateEvery time.Duration

	// MaxSeals is the number of cells, over all processes and columns, after
	// which a data key stops sealing; the next one is made at half of it.
	// Default 1<<31, which is also the most.
	MaxSeals uint64

	// ReadOnly says that the program only reads the keyring: its role may do no more, or the
	// database is a logical subscriber, whose keys come from its publisher. Opening and
	// searching work, and so does sealing a deterministic column in a scope that has a
	// search key. What would make a key, or reserve seals of one, fails.
	ReadOnly bool

	// MaxAge is how long a plaintext data key serves before KMS is asked
	// again. The asking happens ahead of it in the background for keys in use.
	// It bounds how long a revoked or destroyed key goes on serving.
	// Default 10 minutes.
	MaxAge time.Duration

	// MaxStale is how much longer than MaxAge a key may serve while KMS or the
	// keyring is unavailable. It never applies once KMS has refused.
	// Default 1 hour; negative means not at all.
	MaxStale time.Duration

	// StaleWait is how long a lookup waits for KMS and the keyring when its key is
	// past MaxAge and may serve stale. Then the key serves, and the asking goes on in
	// the background. Default 250 milliseconds.
	StaleWait time.Duration

	// MaxEntries bounds the data keys held in memory, and the scopes. One more
	// evicts one that was not used lately. Of four times as many the wrapped form is kept, some
	// hundred bytes each, to be stored again if its row is lost. A data key takes 1.0 KB for each
	// randomized column of the schema, a search key 0.8 KB for each deterministic
	// and 1.4 KB for each ordered one: 1,024 data keys of 20 columns are 20 MB. Default 1024.
	MaxEntries int

	// KMSTimeout bounds one call to KMS. A call may be tried three times.
	// Default 5 seconds.
	KMSTimeout time.Duration

	// KMSParallel bounds the calls to KMS under way at once. Default 16.
	KMSParallel int

	// Logger receives what happens to keys: docs/events.md lists the events.
	// It is never given a key. Default: none.
	Logger *slog.Logger

	// ObserveKMS follows the requests to KMS, for traces and times. Default: none.
	ObserveKMS kms.Observer
}

func (c Config) withDefaults() Config {
	c.RotateEvery = orDefault(c.RotateEvery, defaultRotateEvery)
	c.MaxAge = orDefault(c.MaxAge, keyring.DefaultMaxAge)
	c.StaleWait = orDefault(c.StaleWait, defaultStaleWait)
	c.KMSTimeout = orDefault(c.KMSTimeout, defaultKMSTimeout)
	c.MaxEntries = orDefault(c.MaxEntries, defaultMaxEntries)
	c.KMSParallel = orDefault(c.KMSParallel, defaultKMSParallel)
	c.MaxSeals = min(orDefault(c.MaxSeals, defaultMaxSeals), sealLimit)
	if c.MaxStale == 0 {
		c.MaxStale = keyring.DefaultMaxStale
	}
	c.MaxStale = max(c.MaxStale, 0)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | uint64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
