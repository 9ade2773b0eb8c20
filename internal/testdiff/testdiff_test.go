package testdiff

import "testing"

func TestLines(t *testing.T) {
	for _, tt := range []struct{ want, got, diff string }{
		{"", "", ""},
		{"a\nb", "a\nb", ""},
		{"a", "b", "-a\n+b\n"},
		{"a\nb\nc\nd", "a\nx\nc\nd", " a\n-b\n+x\n c\n"},
		{"1\n2\n3\n4\n5\n6", "0\n2\n3\n4\n5\n7", "-1\n+0\n 2\n 5\n-6\n+7\n"},
		{"a\na", "a", " a\n-a\n"},
		{"a", "a\na\nb", " a\n+a\n+b\n"},
	} {
		if got := Lines(tt.want, tt.got); got != tt.diff {
			t.Errorf("Lines(%q, %q) = %q, want %q", tt.want, tt.got, got, tt.diff)
		}
	}
}
