package hint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestHint(t *testing.T) {
	base := With(io.ErrUnexpectedEOF, "send the rest")
	wrapped := fmt.Errorf("read: %w", base)
	tests := []struct {
		err        error
		hint, full string
	}{
		{io.EOF, "", "EOF"},
		{With(io.EOF, ""), "", "EOF"},
		{base, "send the rest", "unexpected EOF\nhint: send the rest"},
		{wrapped, "send the rest", "read: unexpected EOF\nhint: send the rest"},
		{Errorf("read: %w", base), "send the rest", "read: unexpected EOF\nhint: send the rest"},
		{With(wrapped, "begin again"), "begin again", "read: unexpected EOF\nhint: begin again"},
		{Join(nil, nil), "", ""},
		{Join(io.EOF, base, nil), "send the rest", "EOF\nunexpected EOF\nhint: send the rest"},
		{errors.Join(base, With(io.EOF, "stop")), "send the rest", "unexpected EOF\nhint: send the rest\nEOF\nhint: stop"},
		{fmt.Errorf("%w and %w", io.EOF, base), "send the rest", "EOF and unexpected EOF\nhint: send the rest"},
	}
	for _, tt := range tests {
		if tt.err == nil {
			continue // of Join without errors
		}
		if got := Of(tt.err); got != tt.hint {
			t.Errorf("Of(%v) = %q, want %q", tt.err, got, tt.hint)
		}
		if got := Text(tt.err); got != tt.full {
			t.Errorf("Text(%v) = %q, want %q", tt.err, got, tt.full)
		}
	}
	for _, err := range []error{base, Errorf("read: %w", base), Join(io.EOF, base)} {
		if got := fmt.Sprintf("%+v", err); got != Text(err) {
			t.Errorf("%%+v of %v = %q, want %q", err, got, Text(err))
		}
		for _, verb := range []string{"%v", "%s", "%q", "%40s", "%x"} {
			if got, want := fmt.Sprintf(verb, err), fmt.Sprintf(verb, err.Error()); got != want {
				t.Errorf("%s of %v = %q, want %q", verb, err, got, want)
			}
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v does not wrap its cause", err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Error("failed", "err", err)
		if !strings.Contains(log.String(), "send the rest") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("the record of %v is %q", err, log.String())
		}
	}
	if Join(nil, nil) != nil {
		t.Error("Join(nil, nil) is an error")
	}
}
