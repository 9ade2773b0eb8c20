// Package table prints tables that read well on a terminal and on a page: aligned Markdown.
package table

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A Table is one table of a report.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	Note    string // a paragraph below the table, if not empty
}

// Add adds a row. Each cell is printed with %v.
func (t *Table) Add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.Rows = append(t.Rows, row)
}

// Print writes the table. The first column is aligned to the left, the others to the right.
func (t *Table) Print(w io.Writer) error {
	widths := make([]int, len(t.Columns))
	for _, row := range append([][]string{t.Columns}, t.Rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n**%s**\n\n", t.Title)
	line := func(cells []string) {
		for i, c := range cells {
			if i == 0 {
				fmt.Fprintf(&b, "| %-*s |", widths[i], c)
			} else {
				fmt.Fprintf(&b, " %*s |", widths[i], c)
			}
		}
		b.WriteByte('\n')
	}
	line(t.Columns)
	for i, width := range widths {
		rule := strings.Repeat("-", width+1)
		if i == 0 {
			b.WriteString("|" + rule + "-|")
		} else {
			b.WriteString(rule + ":|")
		}
	}
	b.WriteByte('\n')
	for _, row := range t.Rows {
		line(row)
	}
	if t.Note != "" {
		b.WriteString("\n" + t.Note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
