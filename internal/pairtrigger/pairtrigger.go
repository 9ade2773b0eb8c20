// Package pairtrigger is the trigger that colseal seal makes on a table of PostgreSQL whose columns
// are on their way.
package pairtrigger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/schema"
)

// What the database is ready for, as migrate.Ready.
const (
	Copy       uint8 = 2
	Sealed     uint8 = 3
	Only       uint8 = 4
	SealedOnly uint8 = 5
)

// Without a key, the trigger keeps a column and its companion from differing unseen. It is the last
// of the table's triggers. The first line of its function says what it does with each pair, so that
// this changes in one transaction with the rest:
//
//   - Copy: a statement that changes the plain column alone makes the companion NULL, to be
//     filled again;
//   - Sealed: such a statement is refused, unless it makes the column NULL;
//   - Only: a statement that changes the companion alone makes the plain column NULL;
//   - SealedOnly: each statement does. When all are NULL, a CHECK holds the column to it, and
//     the trigger goes.
const Name = "zz_colseal_pairs"

// BothName begins the names of triggers that run before it, one for each companion, for statements
// that name the companion: those of programs that write both columns. Equal values may have equal
// cells in one of the two columns and different ones in the other: one column would seem to be
// written alone. So until the last trigger runs, a companion that is written and stays as it is
// becomes empty, which no cell is.
const BothName = "zz_colseal_both_"

// BothNameOf is the name of the one for the companion of a column.
func BothNameOf(c *schema.Column) string { return ddl.Shorten(BothName + c.Stored) }

// FunctionOf is the name of the function of a table's trigger.
func FunctionOf(table string) string { return ddl.Shorten("colseal_pairs_" + table) }

// head is what the first line of the function's body begins with.
const head = "-- colseal: "

// Mode is what the trigger does with a pair.
type Mode struct {
	Ready uint8 `json:"ready"`
	Done  bool  `json:"done"` // all that comes with it was done, too
}

// Modes reads what a function does, by the names of the companions.
func Modes(body string) (map[string]Mode, error) {
	line, _, _ := strings.Cut(strings.TrimLeft(body, "\n"), "\n")
	text, ok := strings.CutPrefix(line, head)
	if !ok {
		return nil, fmt.Errorf("the trigger %s is not one of this version: its function was changed", Name)
	}
	modes := map[string]Mode{}
	return modes, json.Unmarshal([]byte(text), &modes)
}

// pair is a column with its names in a statement.
type pair struct {
	*schema.Column
	plain, cell string
}

// Body returns the body of the function for those of columns that have a mode. It is the same in
// whatever order a schema declares them.
func Body(columns []*schema.Column, modes map[string]Mode) string {
	var pairs []pair
	for _, c := range columns {
		if _, ok := modes[c.Stored]; ok {
			pairs = append(pairs, pair{c, dbcatalog.QuoteIdent(c.Source()), dbcatalog.QuoteIdent(c.Stored)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.Stored, b.Stored) })
	first, err := json.Marshal(modes)
	if err != nil {
		panic(err) // a map of strings
	}
	var b strings.Builder
	b.WriteString("\n" + head + string(first) + "\nDECLARE\n\tpaired pg_catalog.bool;\nBEGIN\n")
	const empty = "OPERATOR(pg_catalog.=) ''::pg_catalog.bytea"
	for _, p := range pairs {
		b.WriteString("IF TG_ARGV[0] OPERATOR(pg_catalog.=) " + dbcatalog.QuoteLiteral(p.Stored) + " THEN\n" +
			"\tIF NEW." + p.cell + " OPERATOR(pg_catalog.=) OLD." + p.cell + " THEN\n\t\tNEW." + p.cell + " := '';\n\tEND IF;\n\tRETURN NEW;\nEND IF;\n")
	}
	for _, p := range pairs {
		m := modes[p.Stored]
		b.WriteString("paired := false;\nIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' AND NEW." + p.cell + " " + empty + " THEN\n" +
			"\tNEW." + p.cell + " := OLD." + p.cell + ";\n\tpaired := NEW." + p.plain + " IS NOT NULL;\nEND IF;\n")
		if m.Ready == SealedOnly {
			b.WriteString(p.guard(m.Ready))
		} else {
			b.WriteString("IF NOT paired THEN\n" + p.guard(m.Ready) + "END IF;\n")
		}
	}
	b.WriteString("RETURN NEW;\nEND\n")
	return b.String()
}

// guard returns what the trigger does with one pair. It compares rows by their bytes, because equal
// values may differ.
func (p pair) guard(r uint8) string {
	changed := func(col string) string {
		return "pg_catalog.record_image_ne(ROW(NEW." + col + "), ROW(OLD." + col + "))"
	}
	plain, cell := changed(p.plain), changed(p.cell)
	refuse := func(why string) string {
		return "\tRAISE EXCEPTION USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, CONSTRAINT = '" + Name + "', COLUMN = " + dbcatalog.QuoteLiteral(p.Name) +
			",\n\t\tMESSAGE = " + dbcatalog.QuoteLiteral("colseal: "+why) + ";\n"
	}
	alone := refuse("the column " + p.Source() + " and its companion " + p.Stored + " have to be written together: this program's stage is past")
	switch r {
	case Copy:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN\n\tIF " + plain + " AND NOT " + cell + " THEN\n\tNEW." + p.cell + " := NULL;\n\tEND IF;\nEND IF;\n"
	case Sealed:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n\tIF (NEW." + p.plain + " IS NULL) OPERATOR(pg_catalog.<>) (NEW." + p.cell + " IS NULL) THEN\n" + alone + "\tEND IF;\n" +
			// Making one NULL needs no key. A foreign key does so to both, one after the other. A
			// program in copy makes only the companion NULL if it cannot seal the value.
			"ELSIF " + plain + " AND NOT " + cell + " AND NEW." + p.plain + " IS NULL THEN\n\tNEW." + p.cell + " := NULL;\n" +
			"ELSIF " + cell + " AND NOT " + plain + " AND NEW." + p.cell + " IS NULL AND pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 1 THEN\n\tNEW." + p.plain + " := NULL;\n" +
			"ELSIF " + plain + " OR " + cell + " THEN\n" +
			"\tIF (NEW." + p.plain + " IS NULL) OPERATOR(pg_catalog.<>) (NEW." + p.cell + " IS NULL) OR " + plain + " AND NOT " + cell + " THEN\n" +
			alone + "\tEND IF;\nEND IF;\n"
	case SealedOnly:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n\tIF NEW." + p.plain + " IS NOT NULL AND NEW." + p.cell + " IS NULL THEN\n" + alone + "\tEND IF;\n" +
			"ELSIF NEW." + p.plain + " IS NOT NULL AND " + plain + " AND NOT " + cell + " THEN\n" + alone + "END IF;\nNEW." + p.plain + " := NULL;\n"
	default:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n\tIF NEW." + p.plain + " IS NOT NULL AND NEW." + p.cell + " IS NULL THEN\n" + alone + "\tEND IF;\n" +
			"ELSIF " + cell + " AND NOT " + plain + " THEN\n\tNEW." + p.plain + " := NULL;\n" +
			"ELSIF " + plain + " AND NOT " + cell + " AND NEW." + p.plain + " IS NOT NULL THEN\n" +
			alone + "END IF;\n"
	}
}
