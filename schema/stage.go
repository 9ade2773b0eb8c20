package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// Stage is how far a column is on its way between a plain column and a sealed one. Its cells stand in a
// companion column, Column.Stored, beside the plain one, so that a program may go from each stage to the
// next one, or back, while others are still in the one before. docs/migrating.md tells the way.
type Stage uint8

// The stages.
const (
	// StageNone is that of a column whose cells stand in the column itself. There is no plain one.
	StageNone Stage = iota
	// StageCopy: the plain column is the truth, for reads, searches and constraints. What is written goes
	// to both, sealed to the companion, which becomes NULL where a value cannot be sealed. No statement is
	// refused because of the column; those that will be are counted and logged.
	StageCopy
	// StageSealed: the companion is the truth, and what is written goes to both.
	StageSealed
	// StageOnly: the companion is the truth, and the plain column is neither read nor written. It need
	// not be there.
	StageOnly
)

var stageNames = []string{"", "copy", "sealed", "only"}

// String returns the stage as a tag has it; "" for StageNone.
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("Stage(%d)", uint8(s))
}

// ParseStage returns the stage of a name: copy, sealed or only.
func ParseStage(name string) (Stage, bool) {
	i := slices.Index(stageNames, name)
	return Stage(max(i, 0)), i > 0
}

// storedSuffix makes the name of a companion of that of its column.
const storedSuffix = "_sealed"

// CellColumn is the name of the column that holds the cells: Stored, or Name where no stage is given.
func (c *Column) CellColumn() string {
	if c.Stored != "" {
		return c.Stored
	}
	return c.Name
}

// stageText is what String writes of a column's stage.
func (c *Column) stageText() string {
	if c.Stage == StageNone {
		return ""
	}
	return fmt.Sprintf(" stage %s stored %s", c.Stage, identText(c.Stored))
}

// stage completes what a column says of its stage: a companion without a stage is all that there is.
func (c *Column) stage() {
	switch {
	case c.Stage == StageNone && c.Stored != "":
		c.Stage = StageOnly
	case c.Stage != StageNone && c.Stored == "":
		c.Stored = c.Name + storedSuffix
	}
}

// checkStage checks what one column says of its stage.
func (b *builder) checkStage(c *Column) {
	switch {
	case c.Stage > StageOnly:
		b.failColumn(c, "unknown stage "+c.Stage.String(), "use StageCopy, StageSealed or StageOnly")
	case c.Stored == "":
	case dbcatalog.CheckName(c.Stored) != nil:
		b.failColumn(c, fmt.Sprintf("bad column name %q for its cells: %v", c.Stored, dbcatalog.CheckName(c.Stored)), "give the companion another name with stored=")
	case c.Stored == c.Name:
		b.failColumn(c, "its cells are stored in the column itself", "remove stage= and stored=, or give the companion another name")
	}
}

// checkCompanions reports columns of a table that take the same place.
func (b *builder) checkCompanions(t *Table) {
	taken := map[string]*Column{}
	for _, c := range t.columns {
		for _, name := range []string{c.Name, c.Stored} {
			if name == "" {
				continue
			}
			if first := taken[name]; first != nil {
				b.failColumn(c, fmt.Sprintf("column %s would be used for it and for %s", identText(name), identText(first.Name)), "give each companion a name of its own with stored=")
				continue
			}
			taken[name] = c
		}
	}
}

// Staged reports whether a column has a stage.
func (s *Schema) Staged() bool {
	for _, t := range s.Tables() {
		if slices.ContainsFunc(t.columns, func(c *Column) bool { return c.Stage != StageNone }) {
			return true
		}
	}
	return false
}

// WithStages returns the schema with other stages for some columns, by their names as in users.email; the
// name of a table stands for all of its columns that have a stage. Only a column that has a stage can get
// another one: where its cells stand must not change by configuration alone.
func (s *Schema) WithStages(stages map[string]Stage) (*Schema, error) {
	if len(stages) == 0 {
		return s, nil
	}
	used := map[string]bool{}
	moved := map[*Column]*Column{}
	out := &Schema{byName: map[string][]*Table{}, plain: s.plain, functions: s.functions}
	for _, t := range s.Tables() {
		u := *t
		u.columns = make([]*Column, len(t.columns))
		for i, c := range t.columns {
			if moved[c] == nil {
				d := *c
				for _, key := range []string{c.base, c.base + "." + c.baseName} {
					stage, ok := stages[key]
					if !ok || c.Stage == StageNone {
						continue
					}
					if used[key] = true; stage == StageNone || stage > StageOnly {
						return nil, fmt.Errorf("schema: unknown stage %d of %s: use StageCopy, StageSealed or StageOnly", stage, key)
					}
					d.Stage = stage
				}
				moved[c] = &d
			}
			u.columns[i] = moved[c]
		}
		out.tables = append(out.tables, &u)
		out.byName[u.Name] = append(out.byName[u.Name], &u)
	}
	var unknown []string
	for key := range stages {
		if !used[key] {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("schema: no column with a stage is named %s: write table.column, or table for all of its columns, and give the column its first stage in the schema (stage=copy)", strings.Join(unknown, ", "))
	}
	return out, nil
}
