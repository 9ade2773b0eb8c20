package main

import (
	"bytes"
	"encoding/json"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/audit"
)

// observedLine is a record as a handler writes it.
func observedLine(t *testing.T, handler func(*bytes.Buffer) slog.Handler, attrs ...any) string {
	t.Helper()
	var b bytes.Buffer
	r := slog.NewRecord(time.Date(2026, 5, 3, 10, 20, 30, 0, time.UTC), audit.Observed.Level, audit.Observed.Name, 0)
	r.Add(attrs...)
	if err := handler(&b).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every form in which log/slog writes the events is read, alone and inside of what the machine's log puts around it.
func TestObserve(t *testing.T) {
	attrs := []any{audit.Class, "operator", audit.Reason, `"LIKE" = no`, audit.Table, "users", audit.Column, "email", audit.Line, 2, audit.Position, 14, audit.Statement, "00ff"}
	text := func(b *bytes.Buffer) slog.Handler {
		return slog.NewTextHandler(b, &slog.HandlerOptions{AddSource: true})
	}
	object := func(b *bytes.Buffer) slog.Handler {
		return slog.NewJSONHandler(b, &slog.HandlerOptions{AddSource: true})
	}
	plain := func(b *bytes.Buffer) slog.Handler {
		log.SetOutput(b)
		return slog.Default().Handler()
	}
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	jsonLine := observedLine(t, object, attrs...)
	inside, err := json.Marshal(map[string]string{"log": jsonLine, "stream": "stderr"})
	if err != nil {
		t.Fatal(err)
	}
	const row = `operator  users.email  00ff       2:14   2026-05-03 10:20Z  "LIKE" = no`
	for _, tt := range []struct{ name, line, want string }{
		{"text", observedLine(t, text, attrs...), row},
		{"JSON", jsonLine, row},
		{"log", observedLine(t, plain, attrs...), `operator  users.email  00ff       2:14         "LIKE" = no`},
		{"group in text", observedLine(t, func(b *bytes.Buffer) slog.Handler {
			return text(b).WithAttrs([]slog.Attr{slog.String("line", "x")}).WithGroup("db")
		}, attrs...), row},
		{"group in JSON", observedLine(t, func(b *bytes.Buffer) slog.Handler {
			return object(b).WithAttrs([]slog.Attr{slog.String("line", "x")}).WithGroup("db")
		}, attrs...), row},
		{"inside of JSON", string(inside), row},
		{"behind a prefix", "2026-05-03T10:20:31Z stderr F " + jsonLine, row},
		{"behind a pod's name", "app-7f | " + observedLine(t, text, attrs...), row},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, errs := colseal(t, tt.line, "observe")
			if status != statusFound || !strings.Contains(out, tt.want) || !strings.HasPrefix(errs, "1 line read, 1 of them") {
				t.Errorf("status %d\n%s%s\nof %s\nwant %s", status, out, errs, tt.line, tt.want)
			}
		})
	}
}

// What is alike is counted with what was left out, the most frequent first; other lines are passed over.
func TestObserveCounts(t *testing.T) {
	object := func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }
	value := observedLine(t, object, audit.Class, "value", audit.Reason, "does not fit", audit.Table, "users", audit.Column, "ssn")
	lower := observedLine(t, object, audit.Class, "function", audit.Reason, "lower", audit.Line, 1, audit.Position, 8, audit.Statement, "aa")
	again := observedLine(t, object, audit.Class, "function", audit.Reason, "lower", audit.Line, 1, audit.Position, 8, audit.Statement, "aa", audit.Suppressed, 41)
	file := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(file, []byte(value+"colseal.observed\n{colseal.observed}\n"+`{"msg":"why colseal.observed class=x?"}`+"\n"+lower+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.log")
	if err := os.WriteFile(other, []byte(again+`{"msg":"colseal.refused","class":"mode","reason":"r"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := colseal(t, "", "observe", file, other)
	want := "TIMES  CLASS     COLUMN     STATEMENT  PLACE  LAST               REASON\n" +
		"43     function             aa         1:8    2026-05-03 10:20Z  lower\n" +
		"1      value     users.ssn                    2026-05-03 10:20Z  does not fit\n"
	if status != statusFound || out != want || errs != "8 lines read, 3 of them of what sealed will refuse or was not copied\n" {
		t.Errorf("status %d\n%swant\n%s%s", status, out, want, errs)
	}
	status, out, _ = colseal(t, value, "observe", "--json")
	want = `[
  {
    "class": "value",
    "table": "users",
    "column": "ssn",
    "reason": "does not fit",
    "times": 1,
    "last": "2026-05-03T10:20:30Z"
  }
]
`
	if status != statusFound || out != want {
		t.Errorf("status %d\n%s\nwant\n%s", status, out, want)
	}
	if status, out, errs := colseal(t, "nothing\n", "observe"); status != statusOK || out != "" || !strings.HasPrefix(errs, "1 line read, 0 ") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if status, _, errs := colseal(t, "", "observe", file+".old"); status != statusFailed || !strings.Contains(errs, "app.log.old") {
		t.Errorf("status %d, %s", status, errs)
	}
}
