package pg

import (
	pgquery "github.com/sqlc-dev/oliphant"
	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// scan returns the tokens of a text without comments.
func scan(text string) (tokens []sqlparse.Token, err error) {
	defer func() {
		if recover() != nil {
			tokens, err = nil, &sqlparse.Error{Reason: "the SQL scanner failed"}
		}
	}()
	res, serr := pgquery.Scan(text)
	if serr != nil {
		return nil, parseError(text, serr)
	}
	tokens = make([]sqlparse.Token, 0, len(res.Tokens))
	for _, t := range res.Tokens {
		tokens = append(tokens, sqlparse.Token{Start: int(t.Start), End: int(t.End), Kind: tokenKind(t)})
	}
	return tokens, nil
}

func tokenKind(t *ast.ScanToken) sqlparse.TokenKind {
	switch t.Token {
	case ast.Token_IDENT, ast.Token_UIDENT:
		return sqlparse.TokenWord
	case ast.Token_SCONST, ast.Token_USCONST, ast.Token_BCONST, ast.Token_XCONST:
		return sqlparse.TokenString
	case ast.Token_ICONST, ast.Token_FCONST:
		return sqlparse.TokenNumber
	case ast.Token_PARAM:
		return sqlparse.TokenParam
	}
	if t.KeywordKind != ast.KeywordKind_NO_KEYWORD {
		return sqlparse.TokenWord
	}
	return sqlparse.TokenOther
}
