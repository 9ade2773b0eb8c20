package schema

import (
	"fmt"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// parseRelation reads a relation name as SQL writes it: users, app.users,
// "Users", "we.ird"."Users". Unquoted upper-case letters are refused: SQL
// would fold them and an ORM would quote them, so they name two tables.
func parseRelation(s string) (schemaName, name string, err error) {
	parts, err := dbcatalog.SplitName(s)
	if err != nil {
		return "", "", err
	}
	for _, p := range parts {
		if folded := dbcatalog.FoldASCII(p.Text); !p.Quoted && folded != p.Text {
			return "", "", fmt.Errorf("the table name %q has upper-case letters outside quotes, which SQL folds: write %s or %s", p.Text,
				folded, dbcatalog.QuoteIdent(p.Text))
		}
	}
	if len(parts) == 1 {
		return "", parts[0].Text, nil
	}
	return parts[0].Text, parts[1].Text, nil
}

// relationText writes a name so that parseRelation reads it back.
func relationText(schemaName, name string) string {
	if schemaName == "" {
		return identText(name)
	}
	return identText(schemaName) + "." + identText(name)
}

func identText(s string) string {
	if parts, err := dbcatalog.SplitName(s); err == nil && len(parts) == 1 && parts[0] == (dbcatalog.Ident{Text: dbcatalog.FoldASCII(s)}) {
		return s
	}
	return dbcatalog.QuoteIdent(s)
}
