package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// Stage is how far a column is on its way between a plain column and a sealed one. Its cells stand
// in a companion column, Column.Stored, beside the plain one. So a program can go to the next
// stage, or back, while others are still in the one before. docs/migrating.md describes the way.
//
// A column whose options change (Column.Was) goes the same way. What is said of the plain column
// then holds for the column with the old cells.
type Stage uint8

// The stages.
const (
	// StageNone is that of a column whose cells stand in the column itself. There is no plain one.
	StageNone Stage = iota
	// StageCopy: reads, searches and constraints use the plain column. Writes go to both, sealed to
	// the companion, which becomes NULL if a value cannot be sealed. No statement is refused
	// because of the column. Statements that later stages refuse are counted and logged.
	StageCopy
	// StageSealed: the companion is the truth, and what is written goes to both.
	StageSealed
	// StageOnly: programs use the companion alone. The plain column may be missing.
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

// CellColumn returns the name of the column that holds the cells: Stored, or Name if the column has
// no stage.
func (c *Column) CellColumn() string {
	if c.Stored != "" {
		return c.Stored
	}
	return c.Name
}

// Source returns the name of the column that the stages lead away from: Name, of the plain column,
// or the one with the cells of Was.
func (c *Column) Source() string {
	if c.Was != nil {
		return c.Was.CellColumn()
	}
	return c.Name
}

// StageName returns the name under which programs report the column's stage: that of its companion,
// since another companion is another way.
func (c *Column) StageName() string { return c.table + "." + c.Stored }

// Copied reports whether the plain column is still in use and no statement is refused because of
// the column: it is in StageCopy, and was plain before.
func (c *Column) Copied() bool { return c.Stage == StageCopy && c.Was == nil }

// stageText returns what String writes of a column's stage.
func (c *Column) stageText() string {
	if c.Stage == StageNone {
		return ""
	}
	s := fmt.Sprintf(" stage %s stored %s", c.Stage, identText(c.Stored))
	if c.Was != nil {
		s += fmt.Sprintf(" was (%s %s identity %q tag %04x stored %s)", c.Was.Mode, c.Was.Kind, c.Was.identity, c.Was.tag, identText(c.Was.CellColumn()))
	}
	return s
}

// stage completes what a column says of its stage: a companion without a stage is all that there
// is.
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
	if c.Was != nil {
		b.checkWas(c)
	}
}

// checkWas checks what one column says of how it was sealed before.
func (b *builder) checkWas(c *Column) {
	was := c.Was
	switch {
	case was.Was != nil:
		b.failColumn(c, "what it was says what that was", "change one after the other")
	case c.Stored == "":
		b.failColumn(c, "it says how it was sealed before, and has no stage", "begin with stage=copy and stored= in the seal tag, or remove the was tag")
	case was.Stage != StageNone && was.Stage != StageOnly:
		b.failColumn(c, "it was in the stage "+was.Stage.String(), "take it to only first, and remove stage= from the was tag")
	case was.Suite() == c.Suite() && was.identity == c.identity && was.Kind == c.Kind:
		b.failColumn(c, "its cells would be those that it has", "remove the stage and was: nothing in the database changes")
	default:
		b.checkColumn(was)
	}
}

// checkCompanions reports columns of a table that take the same place.
func (b *builder) checkCompanions(t *Table) {
	taken := map[string]*Column{}
	for _, c := range t.columns {
		names := []string{c.Name, c.Stored}
		if c.Was != nil {
			names = append(names, c.Was.Stored)
		}
		for _, name := range names {
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

// WithStages returns the schema with other stages for some columns. Its keys are columns, as in
// "users.email", or tables, for all of their columns that have a stage. Only a column that has a
// stage can get another one: configuration alone must not change where cells stand.
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
