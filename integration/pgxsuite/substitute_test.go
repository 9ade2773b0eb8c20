package pgxsuite

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// substitutions let every way in which pgx's stdlib tests come by a connection go through the wrapper, and
// every look at pgx's own connection go past it.
var substitutions = []struct{ old, new string }{
	// The function stays named, so that no file is left with an import that it does not use.
	{"stdlib.OpenDB(", "colsealOpenDB(stdlib.GetConnector, "},
	{"stdlib.OpenDBFromPool(", "colsealOpenDBFromPool(stdlib.GetPoolConnector, "},
	{`sql.Open("pgx", `, `sql.Open("pgx-colseal", `},
	{"sql.Open(tt.driverName, ", `sql.Open(tt.driverName+"-colseal", `},
	{"driverConn.(*stdlib.Conn)", "colsealInner(driverConn).(*stdlib.Conn)"},
}

// ways are the beginnings of everything that opens a connection or a database. After the substitutions
// nothing else may be left that begins so: a new version of pgx that knows one more way is noticed.
var ways = map[string][]string{
	"sql.Open":            {`sql.Open("pgx-colseal", `, `sql.Open(tt.driverName+"-colseal", `},
	"stdlib.Open":         nil,
	"stdlib.Get":          {"colsealOpenDB(stdlib.GetConnector, ", "colsealOpenDBFromPool(stdlib.GetPoolConnector, "},
	".(*stdlib.Conn)":     {"colsealInner(driverConn).(*stdlib.Conn)"},
	"stdlib.AcquireConn":  nil,
	"stdlib.RegisterConn": {"stdlib.RegisterConnConfig("}, // makes the text that sql.Open takes
}

// substitute rewrites the texts of files in place. Every substitution must find something.
func substitute(texts map[string]string) error {
	var errs []error
	for _, sub := range substitutions {
		found := 0
		for file, text := range texts {
			found += strings.Count(text, sub.old)
			texts[file] = strings.ReplaceAll(text, sub.old, sub.new)
		}
		if found == 0 {
			errs = append(errs, fmt.Errorf("the substitution for %s finds nothing: pgx's tests have changed", sub.old))
		}
	}
	for file, text := range texts {
		for way, covered := range ways {
			n := strings.Count(text, way)
			for _, c := range covered {
				n -= strings.Count(text, c)
			}
			if n != 0 {
				errs = append(errs, fmt.Errorf("%s: %d times %s, which no substitution covers: pgx's tests have changed", file, n, way))
			}
		}
	}
	return errors.Join(errs...)
}

func TestSubstituteRefusesWhatItDoesNotKnow(t *testing.T) {
	known := func() string {
		var all strings.Builder
		for _, sub := range substitutions {
			all.WriteString(sub.old + ")\n")
		}
		return all.String()
	}
	if err := substitute(map[string]string{"a": known()}); err != nil {
		t.Fatalf("what the substitutions cover is refused: %v", err)
	}
	for name, text := range map[string]string{
		"one finds nothing":     strings.ReplaceAll(known(), "stdlib.OpenDBFromPool(", ""),
		"a new driver name":     known() + `sql.Open("pgx/v6", dsn)`,
		"a new way to open":     known() + "stdlib.OpenSomehow(x)",
		"a new way to look in":  known() + "other.(*stdlib.Conn)",
		"a connector of pgx's":  known() + "sql.OpenDB(stdlib.GetConnector(c))",
		"sql.OpenDB of another": known() + "sql.OpenDB(connector)",
	} {
		if err := substitute(map[string]string{"a": text}); err == nil {
			t.Errorf("%s: was not noticed", name)
		}
	}
}
