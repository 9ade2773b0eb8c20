package colseal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	refused := &QueryError{
		Class: ClassOperation, Query: "SELECT *\nFROM users WHERE upper(näme) = '…'", Pos: len("SELECT *\nFROM users WHERE "),
		Table: "users", Column: "name", Reason: "the function upper cannot work on a sealed column", Hint: "compute it in the program",
	}
	cell := &CellError{Op: "open", Table: "users", Column: "name", Where: "result column 1", Err: io.ErrUnexpectedEOF, Hint: "restore it"}
	for _, tt := range []struct {
		err        error
		text, hint string
		is         error
	}{
		{refused, "colseal: refused before sending: the function upper cannot work on a sealed column: users.name at line 2, column 18", "compute it in the program", ErrRefused},
		{&QueryError{Reason: "several statements", Table: "users"}, "colseal: refused before sending: several statements: users", "", ErrRefused},
		{&QueryError{Reason: "several statements"}, "colseal: refused before sending: several statements", "", ErrRefused},
		{cell, "colseal: cannot open users.name (result column 1): unexpected EOF", "restore it", io.ErrUnexpectedEOF},
		{&CellError{Op: "find the key of", Table: "users", Column: "name", Err: cell}, "colseal: cannot find the key of users.name: colseal: cannot open users.name (result column 1): unexpected EOF", "restore it", io.ErrUnexpectedEOF},
	} {
		if got := tt.err.Error(); got != tt.text {
			t.Errorf("Error() = %q, want %q", got, tt.text)
		}
		full := tt.text
		if tt.hint != "" {
			full += "\nhint: " + tt.hint
		}
		if got := fmt.Sprintf("%+v", tt.err); got != full {
			t.Errorf("%%+v = %q, want %q", got, full)
		}
		if got := Hint(fmt.Errorf("handler: %w", tt.err)); got != tt.hint {
			t.Errorf("Hint = %q, want %q", got, tt.hint)
		}
		if !errors.Is(tt.err, tt.is) {
			t.Errorf("%v is not %v", tt.err, tt.is)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Error("failed", "err", tt.err)
		if !strings.Contains(log.String(), fmt.Sprintf("%q", tt.hint)) {
			t.Errorf("the record lacks the hint: %s", log.String())
		}
	}
}
