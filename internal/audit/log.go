package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A Log emits events. Make one with [New]; it is safe for concurrent use.
type Log struct {
	logger *slog.Logger

	mu     sync.Mutex // guards seen
	seen   *simplelru.LRU[string, *repeats]
	paused time.Duration
}

// repeats is how often an event came again since it was last let through.
type repeats struct {
	until time.Time
	n     uint64
}

const (
	// quiet is how long the same event, about the same thing, is only counted.
	quiet = time.Minute
	// remembered bounds the different things that are told apart. When there are more,
	// the ones that came up longest ago are forgotten, and let through again.
	remembered = 512
)

// New returns a Log. Without a logger it does nothing.
func New(logger *slog.Logger) *Log {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	seen, err := simplelru.NewLRU[string, *repeats](remembered, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Log{logger: logger, seen: seen, paused: quiet}
}

// Emit emits an event, each time.
func (l *Log) Emit(ctx context.Context, e Event, attrs ...slog.Attr) {
	l.logger.LogAttrs(ctx, e.Level, e.Name, attrs...)
}

// EmitSparse emits an event that may come in storms: the first about a thing (words that
// identify it) at once, then one a minute, which says how many were left out.
func (l *Log) EmitSparse(ctx context.Context, e Event, about []string, attrs ...slog.Attr) {
	if !l.logger.Enabled(ctx, e.Level) {
		return
	}
	left, ok := l.admit(e.Name + "\x00" + strings.Join(about, "\x00"))
	if !ok {
		return
	}
	if left > 0 {
		attrs = append(attrs, slog.Uint64(Suppressed, left))
	}
	l.Emit(ctx, e, attrs...)
}

// admit reports whether an event is to be let through, and how many were not before it.
func (l *Log) admit(about string) (left uint64, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.seen.Get(about)
	if known && now.Before(r.until) {
		r.n++
		return 0, false
	}
	if !known {
		r = &repeats{}
		l.seen.Add(about, r)
	}
	left = r.n
	r.until, r.n = now.Add(l.paused), 0
	return left, true
}

// Fingerprint returns a short name of a statement, the same for statements that differ in
// their literals and white space only. blanked is its text with every character of a
// literal made a star, and of a comment a blank: the fingerprint of a text with values in it
// would let a reader try values, and that of their lengths would tell the lengths.
func Fingerprint(blanked string) string {
	words := strings.Fields(stars.ReplaceAllString(blanked, "*"))
	if len(words) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(words, " ")))
	return hex.EncodeToString(sum[:8])
}

var stars = regexp.MustCompile(`\*+`)
