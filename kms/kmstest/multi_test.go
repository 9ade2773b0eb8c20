package kmstest_test

// The tests of kms.Multi stand here, and not with it, because they need implementations of package kms, which the
// tests over there must do without.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/audit/audittest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/localkms"
)

// regions are two Regions, each with a KMS of its own and a key.
type regions struct {
	west, east       *kmstest.Server
	westKey, eastKey string
	inWest, inEast   *awskms.Wrapper
}

func newRegions() *regions {
	r := &regions{west: kmstest.New(), east: kmstest.New(kmstest.WithRegion("us-east-1"))}
	r.westKey = r.west.CreateKey(kmstest.Alias("alias/app"))
	r.eastKey = r.east.CreateKey(kmstest.Alias("alias/app"))
	r.inWest = awskms.New(client(r.west), "alias/app")
	r.inEast = awskms.New(client(r.east), "alias/app")
	return r
}

// client reaches a server without a socket, as in a synctest bubble.
func client(s *kmstest.Server) *sdk.Client { return sdk.New(s.Options()) }

func (r *regions) multi(t *testing.T, cfg kms.MultiConfig) *kms.Multi {
	t.Helper()
	return newMulti(t, cfg, r.inWest, r.inEast)
}

func newMulti(t *testing.T, cfg kms.MultiConfig, keks ...kms.Importer) *kms.Multi {
	t.Helper()
	if cfg.Logger == nil {
		_, cfg.Logger = audittest.New(t) // holds what is logged to the list of events
	}
	m, err := kms.NewMulti(cfg, keks...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var multiEC = kms.EncryptionContext{"colseal:key-id": "00000007"}

func multiKey(t *testing.T, w kms.Wrapper) kms.DataKey {
	t.Helper()
	k, err := w.GenerateDataKey(t.Context(), multiEC)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantOpens(t *testing.T, w kms.Wrapper, k kms.DataKey, wrapped kms.Wrapped) {
	t.Helper()
	got, err := w.Unwrap(t.Context(), wrapped, multiEC)
	if err != nil || !bytes.Equal(got, k.Plaintext) {
		t.Errorf("Unwrap: same key %v, %v", bytes.Equal(got, k.Plaintext), err)
	}
}

func TestMultiTellsOfPassedOverKEKs(t *testing.T) {
	r := newRegions()
	rec, logger := audittest.New(t)
	m := r.multi(t, kms.MultiConfig{MinWraps: 1, Logger: logger})
	whole := multiKey(t, m)
	if names := rec.Names(); len(names) != 0 {
		t.Errorf("%q without a failure", names)
	}
	r.west.Break(kmstest.OutageRefused)
	multiKey(t, m)
	want := "kek=" + r.eastKey + " missing=1 error_class=unavailable error=kms: "
	if got := rec.Take(audit.KMSWrapsMissing); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("%q, want %q…", got, want)
	}
	fresh := r.multi(t, kms.MultiConfig{Logger: logger}) // asks the first KEK first
	wantOpens(t, fresh, whole, whole.Wrapped)
	if got := rec.Take(audit.KMSPassedOver); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("%q, want %q…", got, want)
	}
}

func TestMultiConformance(t *testing.T) {
	r := newRegions()
	local, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	for name, keks := range map[string][]kms.Importer{
		"two Regions": {r.inWest, r.inEast},
		"one":         {r.inWest},
		"two kinds":   {local, r.inEast},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMulti(t, kms.MultiConfig{}, keks...)
			kmstest.Conformance(t, m)
			if err := m.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Either Region alone opens a key, whichever way the other fails.
func TestMultiOutage(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(s *kmstest.Server, key string) (lift func())
	}{
		{"refused", func(s *kmstest.Server, _ string) func() { return s.Break(kmstest.OutageRefused) }},
		{"failing", func(s *kmstest.Server, _ string) func() { return s.Break(kmstest.OutageFailing) }},
		{"hangs", func(s *kmstest.Server, _ string) func() { return s.Break(kmstest.OutageUnanswered) }},
		{"throttles", func(s *kmstest.Server, _ string) func() { return s.Throttle(0) }},
		{"denies", func(s *kmstest.Server, key string) func() { return s.Deny(key) }},
		{"disabled", func(s *kmstest.Server, key string) func() {
			s.SetState(key, kmstest.StateDisabled)
			return func() { s.SetState(key, kmstest.StateEnabled) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegions()
				m := r.multi(t, kms.MultiConfig{})
				k := multiKey(t, m)
				if want := r.westKey + ", " + r.eastKey; k.Wrapped.KeyID != want {
					t.Fatalf("key id %q, want %q", k.Wrapped.KeyID, want)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the key cache's
				defer cancel()
				for _, fails := range []func() func(){
					func() func() { return c.fails(r.west, r.westKey) },
					func() func() { return c.fails(r.east, r.eastKey) },
				} {
					lift := fails()
					got, err := m.Unwrap(ctx, k.Wrapped, multiEC)
					if err != nil || !bytes.Equal(got, k.Plaintext) {
						t.Errorf("Unwrap: %v", err)
					}
					if err := m.Check(t.Context()); err == nil {
						t.Error("Check is content")
					}
					lift()
				}
			})
		})
	}
}

// A Region that hung is not waited for again at once, and is asked again later.
func TestMultiAsksTheOtherFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegions()
		m := r.multi(t, kms.MultiConfig{})
		k := multiKey(t, m)
		lift := r.west.Break(kmstest.OutageUnanswered)
		for i, want := range []time.Duration{2 * time.Second, 0, 0} {
			start := time.Now()
			wantOpens(t, m, k, k.Wrapped)
			if took := time.Since(start); took != want {
				t.Errorf("unwrap %d took %v, want %v", i, took, want)
			}
		}
		lift()
		r.west.Reset()
		wantOpens(t, m, k, k.Wrapped)
		if n := r.west.Calls(); n != 0 {
			t.Errorf("%d calls during the pause", n)
		}
		time.Sleep(10 * time.Second)
		wantOpens(t, m, k, k.Wrapped)
		if n := r.west.Calls("Decrypt"); n != 1 {
			t.Errorf("%d calls after the pause", n)
		}
	})
}

// What several KEKs say is one error of one class: a refusal decides over an outage.
func TestMultiClasses(t *testing.T) {
	for _, c := range []struct {
		name       string
		west, east func(*kmstest.Server, string)
		want       error
	}{
		{"both unavailable", unreachable, unreachable, kms.ErrUnavailable},
		{"one denied, one unavailable", deny, unreachable, kms.ErrDenied},
		{"one unavailable, one disabled", unreachable, disable, kms.ErrKeyDisabled},
		{"both disabled", disable, disable, kms.ErrKeyDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegions()
			m := r.multi(t, kms.MultiConfig{})
			k := multiKey(t, m)
			c.west(r.west, r.westKey)
			c.east(r.east, r.eastKey)
			_, err1 := m.Unwrap(t.Context(), k.Wrapped, multiEC)
			_, err2 := m.Rewrap(t.Context(), k.Wrapped, multiEC, multiEC)
			for _, err := range []error{err1, err2} {
				if !errors.Is(err, c.want) {
					t.Fatalf("%v, want %v", err, c.want)
				}
				in := 0
				for _, class := range []error{kms.ErrDenied, kms.ErrUnavailable, kms.ErrInvalidWrapped} {
					if errors.Is(err, class) {
						in++
					}
				}
				if in != 1 || !strings.Contains(err.Error(), "; and ") {
					t.Errorf("%d classes: %v", in, err)
				}
				kmstest.RequireNoKey(t, err, k.Plaintext)
			}
		})
	}
}

func unreachable(s *kmstest.Server, _ string) { s.Break(kmstest.OutageRefused) }
func deny(s *kmstest.Server, key string)      { s.Deny(key) }
func disable(s *kmstest.Server, key string)   { s.SetState(key, kmstest.StateDisabled) }

// A new key has the wraps of all KEKs, or is not made; unless fewer are allowed, and
// then the KEKs that refuse still stop it, and a rewrap adds what was missing.
func TestMultiMinWraps(t *testing.T) {
	for _, region := range []string{"west", "east"} {
		t.Run(region, func(t *testing.T) {
			r := newRegions()
			down, key, up := r.west, r.westKey, r.eastKey
			if region == "east" {
				down, key, up = r.east, r.eastKey, r.westKey
			}
			var log bytes.Buffer
			all, one := r.multi(t, kms.MultiConfig{}), r.multi(t, kms.MultiConfig{MinWraps: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			lift := down.Break(kmstest.OutageRefused)
			if _, err := all.GenerateDataKey(t.Context(), multiEC); !errors.Is(err, kms.ErrUnavailable) {
				t.Errorf("with all wraps: %v", err)
			}
			k := multiKey(t, one)
			if k.Wrapped.KeyID != up || !strings.Contains(log.String(), "colseal.kms.wraps_missing") {
				t.Errorf("key id %q, log %q", k.Wrapped.KeyID, log.String())
			}
			if _, err := one.Rewrap(t.Context(), k.Wrapped, multiEC, multiEC); !errors.Is(err, kms.ErrUnavailable) {
				t.Errorf("a rewrap with fewer wraps: %v", err)
			}
			lift()
			re, err := one.Rewrap(t.Context(), k.Wrapped, multiEC, multiEC)
			if err != nil || re.KeyID != r.westKey+", "+r.eastKey {
				t.Errorf("healed to %q, %v", re.KeyID, err)
			}
			wantOpens(t, r.multi(t, kms.MultiConfig{}), k, re)
			down.SetState(key, kmstest.StateDisabled)
			if _, err := r.multi(t, kms.MultiConfig{MinWraps: 1}).GenerateDataKey(t.Context(), multiEC); !errors.Is(err, kms.ErrKeyDisabled) {
				t.Errorf("a KEK that refuses: %v", err)
			}
		})
	}
}

// Keys of the time before, and KEKs that come, go and change places.
func TestMultiMoves(t *testing.T) {
	r := newRegions()
	single := multiKey(t, r.inWest)
	m := r.multi(t, kms.MultiConfig{})
	wantOpens(t, m, single, single.Wrapped)
	wantOpens(t, newMulti(t, kms.MultiConfig{}, r.inEast, r.inWest), single, single.Wrapped)

	both, err := m.Rewrap(t.Context(), single.Wrapped, multiEC, multiEC)
	if err != nil {
		t.Fatal(err)
	}
	for _, keks := range [][]kms.Importer{{r.inEast, r.inWest}, {r.inWest}, {r.inEast}} {
		wantOpens(t, newMulti(t, kms.MultiConfig{}, keks...), single, both)
	}
	r.west.Reset()
	if _, err := r.inWest.Unwrap(t.Context(), both, multiEC); !errors.Is(err, kms.ErrInvalidWrapped) || !strings.Contains(fmt.Sprintf("%+v", err), "kms.NewMulti") || r.west.Calls() > 0 {
		t.Errorf("without a Multi: %v", err)
	}
	third := kmstest.New(kmstest.WithRegion("sa-east-1"))
	third.CreateKey(kmstest.Alias("alias/app"))
	other := newMulti(t, kms.MultiConfig{}, awskms.New(client(third), "alias/app"))
	if _, err := other.Unwrap(t.Context(), both, multiEC); !errors.Is(err, kms.ErrInvalidWrapped) || third.Calls() > 0 {
		t.Errorf("a KEK that wrapped nothing: %v, %d calls", err, third.Calls())
	}

	// An outage of the only KEK that wrapped a key is an outage, though the other does
	// not know the key.
	r.west.Break(kmstest.OutageRefused)
	if _, err := m.Unwrap(t.Context(), single.Wrapped, multiEC); !errors.Is(err, kms.ErrUnavailable) {
		t.Errorf("a single wrap in an outage: %v", err)
	}
}

// Wraps of two data keys put together are not one key.
func TestMultiMixed(t *testing.T) {
	r := newRegions()
	m := r.multi(t, kms.MultiConfig{})
	a, b := multiKey(t, m), multiKey(t, m)
	at := bytes.Index(a.Wrapped.Blob, []byte(r.eastKey))
	if at < 0 || at != bytes.Index(b.Wrapped.Blob, []byte(r.eastKey)) {
		t.Fatal("the second wraps do not stand at the same place")
	}
	mixed := kms.Wrapped{KeyID: a.Wrapped.KeyID, Blob: slices.Concat(a.Wrapped.Blob[:at], b.Wrapped.Blob[at:])}
	for _, what := range []string{"the first opens", "the second opens"} {
		if _, err := m.Unwrap(t.Context(), mixed, multiEC); !errors.Is(err, kms.ErrInvalidWrapped) {
			t.Errorf("%s: %v", what, err)
		}
		r.west.Break(kmstest.OutageRefused)
	}
}

func TestNewMultiRefuses(t *testing.T) {
	r := newRegions()
	for name, c := range map[string]struct {
		cfg  kms.MultiConfig
		keks []kms.Importer
	}{
		"none":           {},
		"too many wraps": {kms.MultiConfig{MinWraps: 2}, []kms.Importer{r.inWest}},
		"less than none": {kms.MultiConfig{MinWraps: -1}, []kms.Importer{r.inWest}},
		"nil":            {kms.MultiConfig{}, []kms.Importer{r.inWest, nil}},
		"seventeen":      {kms.MultiConfig{}, slices.Repeat([]kms.Importer{r.inWest}, 17)},
	} {
		if _, err := kms.NewMulti(c.cfg, c.keks...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOpenAll(t *testing.T) {
	dir := t.TempDir()
	one, two := "localkms://"+filepath.ToSlash(filepath.Join(dir, "a")), "localkms://"+filepath.ToSlash(filepath.Join(dir, "b"))
	w, err := kms.OpenAll(t.Context(), one)
	if _, ok := w.(*localkms.Wrapper); !ok || err != nil {
		t.Errorf("one URL: %T, %v", w, err)
	}
	m, err := kms.OpenAll(t.Context(), one, two)
	if err != nil {
		t.Fatal(err)
	}
	k := multiKey(t, m)
	if strings.Count(k.Wrapped.KeyID, "localkms:") != 2 {
		t.Errorf("two URLs: %q", k.Wrapped.KeyID)
	}
	for _, urls := range [][]string{nil, {one, "nokms:///x"}} {
		if _, err := kms.OpenAll(t.Context(), urls...); err == nil {
			t.Errorf("%q: no error", urls)
		}
	}
}
