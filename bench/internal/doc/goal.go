package doc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/colseal/colseal/bench/internal/stat"
)

// A Goal is one thing that was aimed at, and what was measured.
type Goal struct {
	What     string  `json:"what"`
	Limit    string  `json:"goal"`
	Measured string  `json:"measured"` // a median, and its interval
	Noise    string  `json:"noise,omitempty"`
	Verdict  Verdict `json:"verdict"`
}

// A Verdict says whether a goal is met. It goes by the median; where the interval
// reaches to the other side, it says so.
type Verdict string

// The verdicts.
const (
	Met       Verdict = "met"
	MetBarely Verdict = "met; the interval reaches beyond"
	NotQuite  Verdict = "**not met**; the interval reaches within"
	NotMet    Verdict = "**not met**"
	NotShown  Verdict = "not shown: the A/A row alone differs as much"
)

// Judge compares a measurement with the most that it may be.
func Judge(r stat.Ratio, most float64) Verdict {
	switch {
	case r.High <= most:
		return Met
	case r.Median <= most:
		return MetBarely
	case r.Low <= most:
		return NotQuite
	}
	return NotMet
}

// ledger is the file beside the page that holds the goals of each section's last run,
// so that sections can be measured one at a time.
const ledger = "benchmarks.json"

// Sections are the parts of the page, in order.
var Sections = []string{"cells", "lookups", "cache", "queries"}

type ledgerEntry struct {
	Machine Machine `json:"machine"`
	Goals   []Goal  `json:"goals"`
}

// updateGoals notes the report's goals and returns the table of all sections' goals.
func (r *Report) updateGoals(dir string) (string, error) {
	path, all := filepath.Join(dir, ledger), map[string]ledgerEntry{}
	switch text, err := os.ReadFile(path); { //nolint:gosec // the user's own file
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	default:
		if err := json.Unmarshal(text, &all); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
	}
	all[r.Section] = ledgerEntry{r.Machine, r.Goals}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { //nolint:gosec // for all to read
		return "", err
	}
	t, met, unshown := Table{Columns: []string{"what", "goal", "measured", "A/A of the same run", "verdict"}}, 0, 0
	busy := 0.0
	for _, section := range Sections {
		e := all[section]
		if len(e.Goals) > 0 { // what ran on a virtual clock was not disturbed
			busy = max(busy, e.Machine.Before, e.Machine.After)
		}
		for _, g := range e.Goals {
			noise := g.Noise
			if noise == "" {
				noise = "–"
			}
			t.Add(g.What, g.Limit, g.Measured, noise, g.Verdict)
			switch g.Verdict {
			case Met, MetBarely:
				met++
			case NotShown:
				unshown++
			}
		}
	}
	if len(t.Rows) == 0 {
		return "", nil
	}
	text = fmt.Appendf(nil, "%d of %d goals are met, by the median", met, len(t.Rows))
	if unshown > 0 {
		text = fmt.Appendf(text, "; %d could be neither shown nor refuted", unshown)
	}
	return fmt.Sprintf("%s. %s\n", text, quietness(busy)) + t.markdown(), nil
}

// quietness says what the load of the machine means for the figures.
func quietness(busy float64) string {
	switch {
	case busy < 0.05:
		return "The machine was otherwise idle."
	case busy < 0.25:
		return fmt.Sprintf("Other programs used up to %.0f %% of the machine's processors beside the runs.", 100*busy)
	}
	return fmt.Sprintf("The machine was busy: other programs used up to %.0f %% of its processors beside the runs. "+
		"Where an interval or the A/A column is wide, the figure shows little.", 100*busy)
}
