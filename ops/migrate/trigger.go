package migrate

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
)

// Without a key, the trigger keeps a column and its companion from differing unseen. It is the last
// of the table's triggers. The first line of its function says what it does with each pair, so that
// this changes in one transaction with the rest:
//
//   - ReadyCopy: a statement that changes the plain column alone makes the companion NULL, to be
//     filled again;
//   - ReadySealed: such a statement is refused, unless it makes the column NULL;
//   - ReadyOnly: a statement that changes the companion alone makes the plain column NULL;
//   - ReadySealedOnly: each statement does. When all are NULL, a CHECK holds the column to it, and
//     the trigger goes.
const triggerName = "zz_colseal_pairs"

// bothName begins the names of triggers that run before it, one for each companion, for statements
// that name the companion: those of programs that write both columns. Equal values may have equal
// cells in one of the two columns and different ones in the other: one column would seem to be
// written alone. So until the last trigger runs, a companion that is written and stays as it is
// becomes empty, which no cell is.
const bothName = "zz_colseal_both_"

func (p *pair) bothName() string { return ddl.Shorten(bothName + p.Stored) }

// triggerHead is what the first line of the function's body begins with.
const triggerHead = "-- colseal: "

// mode is what the trigger does with a pair.
type mode struct {
	Ready Ready `json:"ready"`
	Done  bool  `json:"done"` // all that comes with it was done, too
}

// modesOf reads what the function does.
func modesOf(source string) (map[string]mode, error) {
	line, _, _ := strings.Cut(strings.TrimLeft(source, "\n"), "\n")
	text, ok := strings.CutPrefix(line, triggerHead)
	if !ok {
		return nil, fmt.Errorf("the trigger %s is not one of this version: its function was changed", triggerName)
	}
	modes := map[string]mode{}
	return modes, json.Unmarshal([]byte(text), &modes)
}

// triggerFunction is the name of the function of a table's trigger.
func (t *table) triggerFunction() string {
	return dbcatalog.Name{Schema: t.rel.Schema, Table: ddl.Shorten("colseal_pairs_" + t.rel.Name)}.SQL()
}

// setTrigger returns the statements by which the trigger does what modes says.
func (t *table) setTrigger(modes map[string]mode) []string {
	trigger := func(name, event, args string) string {
		return "CREATE OR REPLACE TRIGGER " + name + " BEFORE " + event + " ON " + t.name + " FOR EACH ROW EXECUTE FUNCTION " + t.triggerFunction() + "(" + args + ")"
	}
	var drop, both []string
	for _, p := range t.all {
		name := dbcatalog.QuoteIdent(p.bothName())
		if _, ok := modes[p.Stored]; ok {
			both = append(both, trigger(name, "UPDATE OF "+p.cell, dbcatalog.QuoteLiteral(p.Stored)))
		} else {
			drop = append(drop, "DROP TRIGGER IF EXISTS "+name+" ON "+t.name)
		}
	}
	if len(modes) == 0 {
		return append(drop, "DROP TRIGGER IF EXISTS "+triggerName+" ON "+t.name, "DROP FUNCTION IF EXISTS "+t.triggerFunction()+"()")
	}
	head, err := json.Marshal(modes)
	if err != nil {
		panic(err) // a map of strings
	}
	var b strings.Builder
	b.WriteString("\n" + triggerHead + string(head) + "\nDECLARE\n\tpaired pg_catalog.bool;\nBEGIN\n")
	const empty = "OPERATOR(pg_catalog.=) ''::pg_catalog.bytea"
	for _, p := range t.all {
		if _, ok := modes[p.Stored]; ok {
			b.WriteString("IF TG_ARGV[0] OPERATOR(pg_catalog.=) " + dbcatalog.QuoteLiteral(p.Stored) + " THEN\n" +
				"\tIF NEW." + p.cell + " OPERATOR(pg_catalog.=) OLD." + p.cell + " THEN\n\t\tNEW." + p.cell + " := '';\n\tEND IF;\n\tRETURN NEW;\nEND IF;\n")
		}
	}
	for _, p := range t.all {
		m, ok := modes[p.Stored]
		if !ok {
			continue
		}
		b.WriteString("paired := false;\nIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' AND NEW." + p.cell + " " + empty + " THEN\n" +
			"\tNEW." + p.cell + " := OLD." + p.cell + ";\n\tpaired := NEW." + p.plain + " IS NOT NULL;\nEND IF;\n")
		if m.Ready == ReadySealedOnly {
			b.WriteString(p.guard(m.Ready))
		} else {
			b.WriteString("IF NOT paired THEN\n" + p.guard(m.Ready) + "END IF;\n")
		}
	}
	b.WriteString("RETURN NEW;\nEND\n")
	out := append(drop, "CREATE OR REPLACE FUNCTION "+t.triggerFunction()+"() RETURNS trigger LANGUAGE plpgsql AS "+dbcatalog.QuoteLiteral(b.String()), trigger(triggerName, "INSERT OR UPDATE", ""))
	return append(out, both...)
}

// guard returns what the trigger does with one pair. It compares rows by their bytes, because equal
// values may differ.
func (p *pair) guard(r Ready) string {
	changed := func(col string) string {
		return "pg_catalog.record_image_ne(ROW(NEW." + col + "), ROW(OLD." + col + "))"
	}
	plain, cell := changed(p.plain), changed(p.cell)
	refuse := func(why string) string {
		return "\tRAISE EXCEPTION USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, CONSTRAINT = '" + triggerName + "', COLUMN = " + dbcatalog.QuoteLiteral(p.Name) +
			",\n\t\tMESSAGE = " + dbcatalog.QuoteLiteral("colseal: "+why) + ";\n"
	}
	alone := refuse("the column " + p.Source() + " and its companion " + p.Stored + " have to be written together: this program's stage is past")
	switch r {
	case ReadyCopy:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN\n\tIF " + plain + " AND NOT " + cell + " THEN\n\tNEW." + p.cell + " := NULL;\n\tEND IF;\nEND IF;\n"
	case ReadySealed:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n\tIF (NEW." + p.plain + " IS NULL) OPERATOR(pg_catalog.<>) (NEW." + p.cell + " IS NULL) THEN\n" + alone + "\tEND IF;\n" +
			// Making one NULL needs no key. A foreign key does so to both, one after the other. A
			// program in copy makes only the companion NULL if it cannot seal the value.
			"ELSIF " + plain + " AND NOT " + cell + " AND NEW." + p.plain + " IS NULL THEN\n\tNEW." + p.cell + " := NULL;\n" +
			"ELSIF " + cell + " AND NOT " + plain + " AND NEW." + p.cell + " IS NULL AND pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 1 THEN\n\tNEW." + p.plain + " := NULL;\n" +
			"ELSIF " + plain + " OR " + cell + " THEN\n" +
			"\tIF (NEW." + p.plain + " IS NULL) OPERATOR(pg_catalog.<>) (NEW." + p.cell + " IS NULL) OR " + plain + " AND NOT " + cell + " THEN\n" +
			alone + "\tEND IF;\nEND IF;\n"
	case ReadySealedOnly:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n\tIF NEW." + p.plain + " IS NOT NULL AND NEW." + p.cell + " IS NULL THEN\n" + alone + "\tEND IF;\n" +
			"ELSIF NEW." + p.plain + " IS NOT NULL AND " + plain + " AND NOT " + cell + " THEN\n" + alone + "END IF;\nNEW." + p.plain + " := NULL;\n"
	default:
		return "IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n\tIF NEW." + p.plain + " IS NOT NULL AND NEW." + p.cell + " IS NULL THEN\n" + alone + "\tEND IF;\n" +
			"ELSIF " + cell + " AND NOT " + plain + " THEN\n\tNEW." + p.plain + " := NULL;\n" +
			"ELSIF " + plain + " AND NOT " + cell + " AND NEW." + p.plain + " IS NOT NULL THEN\n" +
			alone + "END IF;\n"
	}
}
