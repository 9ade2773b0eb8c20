package table

import (
	"strings"
	"testing"
)

func TestPrint(t *testing.T) {
	table := Table{Title: "T", Columns: []string{"what", "µs"}, Note: "A note."}
	table.Add("plain", 219)
	table.Add("sealed pair", "1.5")
	var b strings.Builder
	if err := table.Print(&b); err != nil {
		t.Fatal(err)
	}
	want := `
**T**

| what        |  µs |
|-------------|----:|
| plain       | 219 |
| sealed pair | 1.5 |

A note.
`
	if b.String() != want {
		t.Errorf("Print() = %s\nwant %s", b.String(), want)
	}
}
