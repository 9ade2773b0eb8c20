package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// utility decides a statement that is neither a query nor a write: it is forwarded
// unless it could carry values into a sealed table, or statements past the analysis.
func (a *analysis) utility(u *sqlparse.Utility) error {
	if u.Forbidden != "" {
		a.forbidden = true
		return a.refuseSession(u.Pos(), nil, u.Forbidden, "leave the setting as it is")
	}
	if err := a.checkKeyring(u); err != nil {
		return err
	}
	if err := a.checkMoves(u); err != nil {
		return err
	}
	for _, s := range u.Schemas {
		if err := a.goOn(a.checkSchemaChange(u, s)); err != nil {
			return err
		}
	}
	sealed := a.namesSealed(u.Names)
	if u.Kept != nil {
		if sealed != nil || slices.ContainsFunc(u.Names, a.isKeyring) {
			return a.keep(u)
		}
		return nil
	}
	if u.Carries && sealed != nil {
		r := a.refuseUnsupported(u.Pos(), nil, u.What+" on a sealed table is not analysed", hintForUtility(u.What))
		r.Table = sealed.Name
		return r
	}
	if err := a.plainExprs(u.Args, &scope{}, u.What); err != nil {
		return err
	}
	for _, r := range u.Renames {
		if err := a.goOn(a.rename(r)); err != nil {
			return err
		}
	}
	if sealed == nil {
		return nil
	}
	for i := range u.Definitions {
		if err := a.goOn(a.definition(&u.Definitions[i], u.Computes)); err != nil {
			return err
		}
	}
	return nil
}

// rename refuses to give what is sealed a name under which this schema would not seal it.
func (a *analysis) rename(r sqlparse.Rename) error {
	for _, t := range a.meant(r.Table) {
		switch {
		case a.known.dependents[t] != nil: // what it depends on keeps its name
		case r.Column != "":
			if c := a.sealedColumn(t.Columns(), r.Column); c != nil {
				return a.refusePlaintext(r.Table.Pos(), c, "a sealed column would be written in plaintext under another name",
					"give it the new name in the schema first, and id= with its present identity; then rename it")
			}
		case !a.sealsAfter(t, r):
			ref := a.refusePlaintext(r.Table.Pos(), nil, "a table of sealed columns would be written in plaintext under another name",
				"register it under the new name first, with schema.WithIdentityTable and its present name; then rename it")
			ref.Table = t.String()
			return ref
		}
	}
	return nil
}

// sealsAfter reports whether a table is registered under the name that it gets, too.
func (a *analysis) sealsAfter(t *schema.Table, r sqlparse.Rename) bool {
	name, in := r.To, t.Schema
	if r.ToSchema != "" {
		name, in = t.Name, r.ToSchema
	}
	return slices.ContainsFunc(a.p.tables[a.p.fold(name)], func(u *schema.Table) bool {
		return u.Schema == "" || in != "" && a.p.fold(u.Schema) == a.p.fold(in)
	})
}

func hintForUtility(what string) string {
	if what == "COPY" {
		return "use CopyFrom of package driver or pgxseal to write, and SELECT to read"
	}
	return "run the statement inside it directly; what only an administrator runs, such as a function's definition, can go through another connection"
}

// namesSealedTable reports whether any relation named anywhere in the text has the name of a
// registered table or of the keyring. It decides what becomes of a text that was refused
// before the analysis had met a sealed table.
func (a *analysis) namesSealedTable() bool {
	named := func(name string) bool {
		name = a.p.fold(name)
		return len(a.candidates(name)) > 0 || name != "" && name == a.p.fold(a.p.keyring.Table)
	}
	found := slices.ContainsFunc(a.file.Types, func(t *sqlparse.TableName) bool { return named(t.Name) })
	sqlparse.Inspect(a.file.Statements, func(node any) bool {
		switch n := node.(type) {
		case *sqlparse.TableName:
			found = found || named(n.Name)
		case *sqlparse.Call:
			found = found || named(n.Name)
		case *sqlparse.Cast:
			found = found || slices.ContainsFunc(sqlparse.RowTypeOf(n.Type.Schema, n.Type.Name), named)
		}
		return !found
	})
	return found || a.checkPrograms() != nil
}
