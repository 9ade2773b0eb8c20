package migrate

import (
	"cmp"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pairtrigger"
	"github.com/colseal/colseal/schema"
)

// mode is what the trigger of a table does with a pair.
type mode struct {
	Ready Ready
	Done  bool // all that comes with it was done, too
}

// modesOf reads what the function does.
func modesOf(source string) (map[string]mode, error) {
	found, err := pairtrigger.Modes(source)
	modes := map[string]mode{}
	for stored, m := range found {
		modes[stored] = mode{Ready(m.Ready), m.Done}
	}
	return modes, err
}

// triggerFunction returns the name of the function of a table's trigger.
func (t *table) triggerFunction() string {
	return dbcatalog.Name{Schema: t.rel.Schema, Table: pairtrigger.FunctionOf(t.rel.Name)}.SQL()
}

// setTrigger returns the statements by which the trigger does what modes says. Unless it is to do
// nothing, the first one is that of its function, and the first call for a table that was renamed
// also has the former function dropped.
func (t *table) setTrigger(modes map[string]mode) []string {
	trigger := func(name, event, args string) string {
		return "CREATE OR REPLACE TRIGGER " + name + " BEFORE " + event + " ON " + t.name + " FOR EACH ROW EXECUTE FUNCTION " + t.triggerFunction() + "(" + args + ")"
	}
	var drop, both []string
	for _, p := range t.all {
		name := dbcatalog.QuoteIdent(pairtrigger.BothNameOf(p.Column))
		if _, ok := modes[p.Stored]; ok {
			both = append(both, trigger(name, "UPDATE OF "+p.cell, dbcatalog.QuoteLiteral(p.Stored)))
		} else {
			drop = append(drop, "DROP TRIGGER IF EXISTS "+name+" ON "+t.name)
		}
	}
	if len(modes) == 0 {
		return append(drop, "DROP TRIGGER IF EXISTS "+pairtrigger.Name+" ON "+t.name, "DROP FUNCTION IF EXISTS "+cmp.Or(t.old, t.triggerFunction())+"()")
	}
	out := []string{"CREATE OR REPLACE FUNCTION " + t.triggerFunction() + "() RETURNS trigger LANGUAGE plpgsql AS " + dbcatalog.QuoteLiteral(t.body(modes))}
	out = append(append(append(out, drop...), trigger(pairtrigger.Name, "INSERT OR UPDATE", "")), both...)
	if t.old != "" {
		out, t.old = append(out, "DROP FUNCTION "+t.old+"()"), ""
	}
	return out
}

// body returns the body of the trigger's function.
func (t *table) body(modes map[string]mode) string {
	var columns []*schema.Column
	does := map[string]pairtrigger.Mode{}
	for _, p := range t.all {
		if m, ok := modes[p.Stored]; ok {
			columns = append(columns, p.Column)
			does[p.Stored] = pairtrigger.Mode{Ready: uint8(m.Ready), Done: m.Done}
		}
	}
	return pairtrigger.Body(columns, does)
}

// altered reports whether the trigger is not the one that was made for the modes: a column, or the
// table, may have been renamed since.
func (t *table) altered() bool {
	return len(t.modes) > 0 && (t.old != "" || t.source != t.body(t.modes))
}
