package world

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

func TestLatency(t *testing.T) {
	l := Latency{Min: 20 * time.Millisecond, Median: 45 * time.Millisecond, Max: 300 * time.Millisecond}
	below, most := 0, time.Duration(0)
	const draws = 20_000
	for range draws {
		d := l.Draw()
		if d < l.Min || d > l.Max {
			t.Fatalf("drew %v", d)
		}
		if d < l.Median {
			below++
		}
		most = max(most, d)
	}
	if below < draws*48/100 || below > draws*52/100 || most < 250*time.Millisecond {
		t.Errorf("%d of %d below the median, the longest %v", below, draws, most)
	}
	if (Latency{}).Draw() != 0 {
		t.Error("the zero value takes time")
	}
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKMS(Latency{}, []Outage{{Start: time.Second, For: time.Second}, {Start: 3 * time.Second, For: time.Hour, Hang: true}})
		dk, err := k.GenerateDataKey(t.Context(), nil)
		if err != nil || len(dk.Plaintext) != kms.DataKeySize {
			t.Fatal(err)
		}
		plain, err := k.Unwrap(t.Context(), dk.Wrapped, nil)
		if err != nil || string(plain) != string(dk.Plaintext) {
			t.Errorf("another key was unwrapped: %v", err)
		}
		time.Sleep(1500 * time.Millisecond)
		if _, err := k.Unwrap(t.Context(), dk.Wrapped, nil); !errors.Is(err, kms.ErrUnavailable) {
			t.Errorf("in the outage: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := k.Unwrap(t.Context(), dk.Wrapped, nil); err != nil {
			t.Errorf("after it: %v", err)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := k.Unwrap(ctx, dk.Wrapped, nil); !errors.Is(err, kms.ErrTimeout) || time.Since(start) != 5*time.Second {
			t.Errorf("a KMS that hangs answered after %v: %v", time.Since(start), err)
		}
		if k.Calls() != 5 || k.Failed() != 2 {
			t.Errorf("%d calls, %d failed", k.Calls(), k.Failed())
		}
	})
}

func TestKeyring(t *testing.T) {
	var told []uint32
	k := NewKeyring(0, func(_ string, id uint32) { told = append(told, id) })
	k.Seed(1, "a", 3*time.Hour)
	k.Seed(2, "a", time.Hour)
	ctx := t.Context()
	rec := keyring.Key{ID: 3, Purpose: keyring.PurposeData, Scope: "a", Epoch: 3}
	if won, err := k.Insert(ctx, rec); !won || err != nil {
		t.Fatalf("a new epoch was not taken: %v", err)
	}
	for what, rec := range map[string]keyring.Key{
		"id":    {ID: 3, Purpose: keyring.PurposeData, Scope: "b", Epoch: 1},
		"epoch": {ID: 4, Purpose: keyring.PurposeData, Scope: "a", Epoch: 3},
	} {
		if won, _ := k.Insert(ctx, rec); won {
			t.Errorf("an %s that is taken was taken again", what)
		}
	}
	ring, _ := k.Ring(ctx, keyring.PurposeData, "a")
	recs := ring.Keys
	if ring.Next != 4 || len(recs) != 3 || recs[0].ID != 3 || recs[2].ID != 1 || recs[2].Age < 3*time.Hour {
		t.Errorf("the ring is %+v", recs)
	}
	if recs, _ := k.Keys(ctx, []uint32{2, 9}); len(recs) != 1 || recs[0].ID != 2 {
		t.Errorf("keys: %+v", recs)
	}
	if _, ok, _ := k.Reserve(ctx, 3, 60, 100); !ok {
		t.Error("nothing was reserved")
	}
	if _, ok, _ := k.Reserve(ctx, 3, 60, 100); ok {
		t.Error("more was reserved than the limit")
	}
	if err := k.Release(ctx, 3, 60); err != nil {
		t.Error(err)
	}
	if sum, ok, _ := k.Reserve(ctx, 3, 100, 100); !ok || sum != 100 {
		t.Errorf("after a release %d were reserved: %v", sum, ok)
	}
	if len(told) != 3 || k.Len() != 3 {
		t.Errorf("told of %v, holds %d", told, k.Len())
	}
}
