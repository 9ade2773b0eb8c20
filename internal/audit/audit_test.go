package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/kms"
)

func TestEmitSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&out, nil)))
		say := func(about string) string {
			out.Reset()
			l.EmitSparse(t.Context(), Refused, []string{about}, slog.String(Class, "mode"))
			_, text, _ := strings.Cut(out.String(), "level=")
			return strings.TrimSpace(text)
		}
		const plain = "WARN msg=colseal.refused class=mode"
		for i, step := range []struct {
			wait  time.Duration
			about string
			want  string
		}{
			{0, "a", plain},
			{0, "a", ""},
			{0, "b", plain}, // another thing has a minute of its own
			{30 * time.Second, "a", ""},
			{31 * time.Second, "a", plain + " suppressed=2"},
			{time.Second, "a", ""},
			{2 * time.Minute, "b", plain},
		} {
			time.Sleep(step.wait)
			if got := say(step.about); got != step.want {
				t.Errorf("step %d: %q, want %q", i, got, step.want)
			}
		}
	})
}

func TestEmitSparseIsBounded(t *testing.T) {
	l := New(slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)))
	for i := range 10 * remembered {
		l.EmitSparse(t.Context(), Refused, []string{fmt.Sprint(i)})
	}
	if n := l.seen.Len(); n != remembered {
		t.Errorf("%d things are remembered, want %d", n, remembered)
	}
}

func TestNoLogger(t *testing.T) {
	l := New(nil)
	l.Emit(t.Context(), KeyCreated)
	l.EmitSparse(t.Context(), Refused, nil)
	if l.seen.Len() != 0 {
		t.Error("what is not logged is remembered")
	}
}

type pgError struct{}

func (pgError) Error() string    { return "password=hunter2: canceling statement" }
func (pgError) SQLState() string { return "57014" }

func TestFailure(t *testing.T) {
	denied := &kms.Error{Op: "unwrap data key", KeyID: "alias/app", Class: kms.ErrKeyDisabled}
	for _, tt := range []struct {
		name  string
		err   error
		class string
		text  string
	}{
		{"kms", fmt.Errorf("get: %w", denied), "key_disabled", denied.Error()},
		{"timeout", context.DeadlineExceeded, "timeout", "an error of type context.deadlineExceededError"},
		{"cancelled", fmt.Errorf("x: %w", context.Canceled), "canceled", "an error of type *errors.errorString"},
		{"server", fmt.Errorf("x: %w", pgError{}), "keyring", "SQLSTATE 57014"},
		{"driver", fmt.Errorf("x: %w", errors.New("password=hunter2")), "other", "an error of type *errors.errorString"},
		{"joined", errors.Join(errors.New("password=hunter2"), errors.New("y")), "other", "an error of type *errors.joinError"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Failure(tt.err)
			want := []slog.Attr{slog.String(ErrorClass, tt.class), slog.String(ErrorText, tt.text)}
			if !slices.EqualFunc(got, want, slog.Attr.Equal) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	if Fingerprint("") != "" {
		t.Error("a text that cannot be shown has a fingerprint")
	}
	a := Fingerprint("SELECT x FROM t WHERE a = ******** AND b = **")
	if len(a) != 16 {
		t.Errorf("%q", a)
	}
	if b := Fingerprint("SELECT x\n  FROM t  WHERE a = * AND b = *****   "); a != b {
		t.Error("the lengths of literals and of white space are in it")
	}
	if b := Fingerprint("SELECT y FROM t WHERE a = * AND b = *"); a == b {
		t.Error("two statements have one fingerprint")
	}
}

func TestEventNames(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Events() {
		if !strings.HasPrefix(e.Name, "colseal.") || seen[e.Name] {
			t.Errorf("%q is not a name, or not the only one", e.Name)
		}
		seen[e.Name] = true
	}
}
