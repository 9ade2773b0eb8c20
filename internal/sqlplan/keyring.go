package sqlplan

import "github.com/colseal/colseal/internal/sqlparse"

// isKeyring reports whether a name may mean the keyring table.
func (a *analysis) isKeyring(tn *sqlparse.TableName) bool {
	k := a.p.keyring
	return k.Table != "" && a.p.fold(tn.Name) == a.p.fold(k.Table) &&
		(tn.Schema == "" || k.Schema == "" || a.p.fold(tn.Schema) == a.p.fold(k.Schema))
}

// checkKeyring refuses a statement that may change or drop the keyring table. What only reads
// passes; a query inside is judged by itself.
func (a *analysis) checkKeyring(u *sqlparse.Utility) error {
	if u.Everything && a.p.keyring.Table != "" {
		return a.refuseKeyring(u.Pos())
	}
	if u.Reads {
		return nil
	}
	for _, n := range u.Names {
		if a.isKeyring(n) {
			return a.refuseKeyring(n.Pos())
		}
	}
	return nil
}

// checkKeyringSchema refuses to rename or drop the keyring's schema.
func (a *analysis) checkKeyringSchema(u *sqlparse.Utility, s sqlparse.SchemaChange) error {
	k := a.p.keyring
	if k.Table == "" {
		return nil
	}
	inside, err := a.p.fold(k.Schema) == a.p.fold(s.Name), error(nil)
	if k.Schema == "" {
		inside, err = a.holds(s.Name, k.Table)
	}
	if err != nil || !inside {
		return err
	}
	return a.refuseKeyring(u.Pos())
}
