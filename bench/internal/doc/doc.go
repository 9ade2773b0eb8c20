// Package doc turns what the bench program measured into text for a terminal,
// JSON for programs, and Markdown for docs/benchmarks.md: every figure on that page
// is written by the run that measured it.
package doc

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// A Table is one table of a report.
type Table struct {
	Title   string     `json:"title"`
	Notes   []string   `json:"notes,omitempty"` // paragraphs below the table
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Add adds a row; each cell is printed with %v.
func (t *Table) Add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.Rows = append(t.Rows, row)
}

// A Plot is a picture that belongs to a report.
type Plot struct {
	File  string `json:"file"` // name within the directory of plots
	Title string `json:"title"`
}

// A Report is what one command measured.
type Report struct {
	Section string  `json:"section"` // one of Sections
	Command string  `json:"command"` // that repeats it
	Machine Machine `json:"machine"`
	Goals   []Goal  `json:"goals,omitempty"`
	Tables  []Table `json:"tables"`
	Plots   []Plot  `json:"plots,omitempty"`
	Data    any     `json:"data,omitempty"` // the measurements behind the tables
}

// Print writes the tables for a terminal.
func (r *Report) Print(w io.Writer) error {
	_, _ = fmt.Fprintf(w, "%s\n", r.Machine)
	for _, t := range append(goalTable(r.Goals), r.Tables...) {
		_, _ = fmt.Fprintf(w, "\n%s\n", t.Title)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(tw, "  "+strings.Join(t.Columns, "\t"))
		for _, row := range t.Rows {
			_, _ = fmt.Fprintln(tw, "  "+strings.Join(row, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		for _, note := range t.Notes {
			_, _ = fmt.Fprintln(w, "  "+note)
		}
	}
	return nil
}

// WriteJSON writes the report as JSON to a file, "-" for w.
func (r *Report) WriteJSON(w io.Writer, path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if path == "-" {
		_, err = w.Write(text)
		return err
	}
	return os.WriteFile(path, text, 0o644) //nolint:gosec // a report is for all to read
}

// Markdown returns the report as a part of a page beside whose file the plots'
// directory lies.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "From a run of %s. Repeat it with `%s`.\n", r.Machine, r.Command)
	for _, t := range r.Tables {
		b.WriteString(t.markdown())
	}
	for _, p := range r.Plots {
		fmt.Fprintf(&b, "\n![%s](%s/%s)\n", p.Title, PlotDir, p.File)
	}
	return b.String()
}

func (t *Table) markdown() string {
	var b strings.Builder
	if t.Title != "" {
		fmt.Fprintf(&b, "\n**%s**\n", t.Title)
	}
	b.WriteString("\n| " + strings.Join(t.Columns, " | ") + " |\n|")
	for i := range t.Columns {
		b.WriteString(map[bool]string{true: "---|", false: "--:|"}[i == 0])
	}
	b.WriteByte('\n')
	for _, row := range t.Rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	for _, note := range t.Notes {
		b.WriteString("\n" + note + "\n")
	}
	return b.String()
}

func goalTable(goals []Goal) []Table {
	if len(goals) == 0 {
		return nil
	}
	t := Table{Title: "Goals", Columns: []string{"what", "goal", "measured", "A/A of the same run", "verdict"}}
	for _, g := range goals {
		t.Add(g.What, g.Limit, g.Measured, g.Noise, strings.ReplaceAll(string(g.Verdict), "*", ""))
	}
	return []Table{t}
}

// Where a page of reports and its plots lie within a directory of documents.
const (
	Page    = "benchmarks.md"
	PlotDir = "plots"
)

// Update replaces the report's part of the page in dir, and the table of goals. The
// parts lie between two comments each, which must be there.
func (r *Report) Update(dir string) error {
	path := filepath.Join(dir, Page)
	page, err := os.ReadFile(path) //nolint:gosec // the user's own page
	if err != nil {
		return err
	}
	next, err := replace(string(page), r.Section, r.Markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	goals, err := r.updateGoals(dir)
	if err != nil {
		return err
	}
	if next, err = replace(next, "goals", goals); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(next), 0o644) //nolint:gosec // a page is for all to read
}

func replace(page, section, text string) (string, error) {
	begin, end := "<!-- begin "+section+" -->\n", "<!-- end "+section+" -->\n"
	head, rest, ok := strings.Cut(page, begin)
	if !ok {
		return "", fmt.Errorf("no line %q", strings.TrimSpace(begin))
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("no line %q after %q", strings.TrimSpace(end), strings.TrimSpace(begin))
	}
	return head + begin + text + end + tail, nil
}
