package dbcheck

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// overTerms removes the calls that searches use from the expressions of an index. If rest still
// names the column, the index has other expressions too. fold and terms say which calls there were.
func (c *column) overTerms(exprs string) (rest string, fold, terms bool) {
	take := func(function string) bool {
		before, short := exprs, strings.TrimPrefix(function, "colseal.") // if the schema is in the search path
		for _, name := range []string{c.name, dbcatalog.QuoteIdent(c.name)} {
			exprs = strings.NewReplacer(function+"("+name+")", "", short+"("+name+")", "").Replace(exprs)
		}
		return exprs != before
	}
	fold = c.col.Terms.Fold && take(sqlplan.FoldFunction)
	terms = ddl.Indexed(c.col) && take(sqlplan.TermsFunction)
	return exprs, fold, terms
}

// terms checks what searches by terms need: the functions, the indexes, and a lower() that folds as
// the cells do.
func (k *checker) terms(ctx context.Context) error {
	var fold, terms bool
	for _, rel := range k.rels {
		for _, c := range rel.sorted() {
			fold, terms = fold || c.col.Terms.Fold, terms || ddl.Indexed(c.col)
			if !rel.stores() || c.storage != dbcatalog.StorageBytes {
				continue
			}
			table := &schema.Table{Schema: rel.schema, Name: rel.name}
			if ddl.Indexed(c.col) && !c.termsIndex {
				k.on(SeverityWarning, "terms-index", rel, c, "", "no index holds its terms: a search for a beginning, an end, a member or equality reads the whole table", ddl.TermsIndex(table, c.col))
			}
			if c.col.Terms.Fold && !c.foldIndex {
				k.on(SeverityWarning, "fold-index", rel, c, "", "no index holds its values in lower case: a search by lower() reads the whole table", ddl.FoldIndex(table, c.col))
			}
		}
	}
	const cell = "\x01\x04\x00\x00\x00\x00\x00\x00\x00\x17" + "AAAAAAAAAAE BBBBBBBBBBA"
	if terms {
		if err := k.searchFunction(ctx, sqlplan.TermsFunction, cell, "'AAAAAAAAAAE' 'BBBBBBBBBBA'"); err != nil {
			return err
		}
		if err := k.fuzzyLimit(ctx); err != nil {
			return err
		}
	}
	if !fold {
		return nil
	}
	if err := k.searchFunction(ctx, sqlplan.FoldFunction, cell, `\x`+hex.EncodeToString([]byte(cell[:8]+cell[10:21]))); err != nil {
		return err
	}
	return k.foldLocale(ctx)
}

// searchFunction checks that a function exists, may be used in an index, and returns the right
// value for a cell.
func (k *checker) searchFunction(ctx context.Context, name, cell, want string) error {
	const hint = "make it as `colseal ddl` prints it"
	rows, err := k.query(ctx, `SELECT provolatile::pg_catalog.text FROM pg_catalog.pg_proc WHERE oid = pg_catalog.to_regprocedure($1)`, name+"(pg_catalog.bytea)")
	f := Finding{Severity: SeverityDanger, Rule: "search-function", Object: name, Hint: hint}
	var got [][]string
	if err == nil && len(rows) == 1 {
		got, err = k.query(ctx, "SELECT "+name+"(pg_catalog.decode($1, 'hex'))::pg_catalog.text", hex.EncodeToString([]byte(cell)))
	}
	switch {
	case denied(err):
		f.Severity, f.What, f.Hint = SeverityWarning, "this role may not call it", "GRANT USAGE ON SCHEMA colseal TO the role, if it is the program's"
	case err != nil:
		return err
	case len(rows) == 0:
		f.What = "it does not exist, and searches that the tags allow fail"
	case rows[0][0] != "i" || len(got) != 1 || got[0][0] != want:
		f.What = "it is another function than searches need: they find wrong rows"
		f.Hint = "drop it and its indexes, and " + hint
	default:
		return nil
	}
	k.add(f)
	return nil
}

// foldLocale checks that the database's lower() is the folding of the cells, which is fixed.
func (k *checker) foldLocale(ctx context.Context) error {
	sample := string([]rune{'I', ' ', 'Ä', ' ', 'İ', ' ', 'Α', 'Σ', ' ', 'Ж'})
	rows, err := k.query(ctx, `SELECT pg_catalog.lower($1::pg_catalog.text)`, sample)
	if dbcatalog.SQLState(err) == "22P05" { // untranslatable_character
		return nil
	}
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0][0] != codec.Fold(sample) {
		k.add(Finding{Severity: SeverityWarning, Rule: "fold-locale", Object: "lower",
			What: "lower() of this database's locale makes other letters of some than Colseal does, whose folding is the same everywhere: a search in lower case may find other rows than it did on the plain column",
			Hint: "see docs/search.md, Case; nothing is to be done if no value has such letters (beyond ASCII under C, a dotted capital I and a final Sigma under ICU, I under Turkish locales)"})
	}
	return nil
}

// fuzzyLimit checks a setting by which a search would leave out rows, so that it is refused. On a
// plain column it would not, for lack of such an index.
func (k *checker) fuzzyLimit(ctx context.Context) error {
	const setting = "gin_fuzzy_search_limit"
	rows, err := k.query(ctx, "SELECT pg_catalog.current_setting('"+setting+"')")
	if err == nil && len(rows) == 1 && rows[0][0] != "0" {
		k.add(Finding{Severity: SeverityDanger, Rule: "fuzzy-limit", Object: setting, What: "it is set, with which searches for terms are refused: they would return some of the rows that they find, drawn at random",
			Hint: "set it to 0, which is the default, for the database and the role (ALTER DATABASE ... SET, ALTER ROLE ... SET)"})
	}
	return err
}
