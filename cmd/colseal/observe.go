package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/internal/audit"
)

func newObserve() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "observe [LOG]...",
		Short: "Summarise what the log of programs in the stage copy says of statements that sealed will refuse",
		Long: "Summarise what the log of programs in the stage copy says of statements that sealed will refuse, and of values that were\n" +
			"not copied: the events " + audit.Observed.Name + ", by statement, class, column and place, the most frequent first.\n\n" +
			"It reads the JSON lines and the text of log/slog, from files or standard input, and passes over other lines. A statement is\n" +
			"named by its fingerprint, which colseal explain prints, too. A program leaves records out and says so in the next: what it\n" +
			"left out last is not counted.",
		RunE: func(cmd *cobra.Command, logs []string) error {
			seen := &observations{by: map[observation]*tally{}}
			if len(logs) == 0 {
				if err := seen.read(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			for _, name := range logs {
				if err := seen.readFile(name); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			print := seen.print
			if asJSON {
				print = seen.printJSON
			}
			if err := print(cmd.OutOrStdout()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s read, %d of them of what sealed will refuse or was not copied\n", count(seen.lines, "line"), seen.events)
			if seen.events > 0 {
				return errFound
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// An observation is what records are counted by.
type observation struct {
	Class     string `json:"class"`
	Table     string `json:"table,omitempty"`
	Column    string `json:"column,omitempty"`
	Statement string `json:"statement,omitempty"` // its fingerprint
	Line      string `json:"line,omitempty"`
	Position  string `json:"position,omitempty"`
	Reason    string `json:"reason"`
}

// A tally is how often something was observed, and when last; zero if the log has no times.
type tally struct {
	Times int       `json:"times"`
	Last  time.Time `json:"last,omitzero"`
}

// observations are what logs say.
type observations struct {
	by            map[observation]*tally
	lines, events int
}

func (o *observations) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return o.read(f)
}

func (o *observations) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			o.lines++
			if attrs, ok := observed(line); ok {
				o.add(attrs)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (o *observations) add(attrs map[string]string) {
	o.events++
	key := observation{attrs[audit.Class], attrs[audit.Table], attrs[audit.Column], attrs[audit.Statement], attrs[audit.Line], attrs[audit.Position], attrs[audit.Reason]}
	t := o.by[key]
	if t == nil {
		t = &tally{}
		o.by[key] = t
	}
	leftOut, _ := strconv.Atoi(attrs[audit.Suppressed]) // 0 if none were
	t.Times += 1 + leftOut
	if at, err := time.Parse(time.RFC3339Nano, attrs[slog.TimeKey]); err == nil && at.After(t.Last) {
		t.Last = at
	}
}

// inOrder returns the observations, the most frequent first.
func (o *observations) inOrder() []observation {
	return slices.SortedFunc(maps.Keys(o.by), func(a, b observation) int {
		return cmp.Or(o.by[b].Times-o.by[a].Times, cmp.Compare(a.Class, b.Class), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Statement, b.Statement), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Position, b.Position))
	})
}

func (o *observations) print(w io.Writer) error {
	if len(o.by) == 0 {
		return nil
	}
	rows := [][]string{{"TIMES", "CLASS", "COLUMN", "STATEMENT", "PLACE", "LAST", "REASON"}}
	for _, k := range o.inOrder() {
		place, last := "", ""
		if k.Line != "" {
			place = k.Line + ":" + k.Position
		}
		if t := o.by[k].Last; !t.IsZero() {
			last = minute(t)
		}
		rows = append(rows, []string{strconv.Itoa(o.by[k].Times), k.Class, strings.TrimSuffix(k.Table+"."+k.Column, "."), k.Statement, place, last, k.Reason})
	}
	return printTable(w, rows)
}

func (o *observations) printJSON(w io.Writer) error {
	type one struct {
		observation
		tally
	}
	all := []one{}
	for _, k := range o.inOrder() {
		all = append(all, one{k, *o.by[k]})
	}
	return printJSON(w, all)
}

// observed returns the attributes of a line's record, without the names of the groups that they
// stand in; ok is false if the line is another.
func observed(line string) (attrs map[string]string, ok bool) {
	before, after, ok := strings.Cut(line, audit.Observed.Name)
	if !ok {
		return nil, false
	}
	if i := strings.IndexByte(before, '{'); i >= 0 {
		if attrs, ok := observedJSON(line[i:]); ok {
			return attrs, true
		}
	}
	attrs = map[string]string{}
	pairs(before, attrs)
	pairs(after, attrs)
	return attrs, attrs[audit.Class] != "" && attrs[audit.Reason] != ""
}

// observedJSON is observed for a JSON object. It may have the line in one of its members, as
// container runtimes write it.
func observedJSON(text string) (attrs map[string]string, ok bool) {
	var record map[string]any
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&record); err != nil {
		return nil, false
	}
	found := false
	for _, v := range record {
		switch s, _ := v.(string); {
		case s == audit.Observed.Name:
			found = true
		case strings.Contains(s, audit.Observed.Name):
			return observed(s)
		}
	}
	group := withClass(record)
	if !found || group == nil {
		return nil, false
	}
	attrs = map[string]string{}
	for k, v := range group {
		attrs[k] = fmt.Sprint(v)
	}
	attrs[slog.TimeKey], _ = record[slog.TimeKey].(string)
	return attrs, true
}

// withClass returns the group of a record in which the attributes of an event stand; nil if there
// is none.
func withClass(group map[string]any) map[string]any {
	if _, ok := group[audit.Class].(string); ok && group[audit.Reason] != nil {
		return group
	}
	for _, v := range group {
		if inside, ok := v.(map[string]any); ok {
			if found := withClass(inside); found != nil {
				return found
			}
		}
	}
	return nil
}

// pairs reads key=value as slog.TextHandler writes them, and passes over what is between them.
func pairs(text string, attrs map[string]string) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
		end := strings.IndexAny(text, "= ")
		if end < 0 {
			return
		}
		key := text[strings.LastIndexByte(text[:end], '.')+1 : end]
		assigned := text[end] == '='
		text = text[end+1:]
		if !assigned {
			continue
		}
		value, err := strconv.QuotedPrefix(text)
		if err == nil && value[0] == '"' {
			text = text[len(value):]
			value, _ = strconv.Unquote(value) // QuotedPrefix has read it
		} else {
			value, text, _ = strings.Cut(text, " ")
		}
		attrs[key] = value
	}
}
