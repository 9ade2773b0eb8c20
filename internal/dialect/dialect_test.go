package dialect

import "testing"

func TestParse(t *testing.T) {
	tests := []struct {
		flag string
		want Dialect
		ok   bool
	}{
		{"postgres", Postgres, true},
		{"sqlite", SQLite, true},
		{"PostgreSQL", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		got, err := Parse(tt.flag)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("Parse(%q) = %v, %v, want %v, ok %v", tt.flag, got, err, tt.want, tt.ok)
		}
	}
}

func TestString(t *testing.T) {
	for d, want := range map[Dialect]string{Postgres: "PostgreSQL", SQLite: "SQLite", 7: "Dialect(7)"} {
		if got := d.String(); got != want {
			t.Errorf("Dialect(%d).String() = %q, want %q", uint8(d), got, want)
		}
	}
}
