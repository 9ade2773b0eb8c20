// Package backstop writes the conditions under which a database takes a value into a sealed
// column: NULL, or what begins like a cell of that column. They hold no plaintext, and need
// no key.
package backstop

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// prefixSize is how much of a cell's header one column fixes: version, suite and tag.
const prefixSize = 4

// prefix returns the bytes with which every cell of a column begins.
func prefix(c *schema.Column) []byte {
	return codec.Header{Suite: c.Suite(), Tag: c.Tag()}.Append(nil)[:prefixSize]
}

// textPrefix returns what the textual form of a column's cells begins with: the characters that the
// prefix determines in full, and the first and last of the sixteen that may follow. Five characters
// of base64 hold 30 of the prefix's 32 bits. The sixth holds the other two, then the four highest
// bits of the key id, which may be anything.
func textPrefix(c *schema.Column) (fixed string, low, high byte) {
	p := prefix(c)
	first := base64.RawURLEncoding.EncodeToString(append(p[:prefixSize:prefixSize], 0x00, 0x00))
	last := base64.RawURLEncoding.EncodeToString(append(p[:prefixSize:prefixSize], 0xff, 0xff))
	const determined = prefixSize * 8 / 6
	return codec.EncodeText(nil) + first[:determined], first[determined], last[determined]
}

// textClass writes the sixteen characters from low to high of the base64url alphabet as the inside
// of a bracket expression. Only the last of the four groups is not one run of ASCII.
func textClass(low, high byte) string {
	if low == 'w' {
		return "w-z0-9_-"
	}
	if low == 'Q' {
		return "Q-Za-f"
	}
	return string(low) + "-" + string(high)
}

// minText returns the length of the textual form of a column's shortest cell, without its prefix
// "cs1:".
func minText(c *schema.Column) int { return base64.RawURLEncoding.EncodedLen(c.Layout().Overhead()) }

// Condition returns the SQL condition that holds for NULL and for what may be a cell of column c,
// stored as bytes or as text, and for nothing else. It proves nothing about the rest of the cell,
// which only the key can.
func Condition(d dialect.Dialect, c *schema.Column, text bool) string {
	name := dbcatalog.QuoteIdent(c.CellColumn())
	var cond string
	switch {
	case d == dialect.SQLite && text:
		cond = liteText(name, c)
	case d == dialect.SQLite:
		cond = fmt.Sprintf("typeof(%[1]s) = 'blob' AND length(%[1]s) >= %[2]d AND substr(%[1]s, 1, %[3]d) = x'%[4]s'",
			name, c.Layout().Overhead(), prefixSize, hex.EncodeToString(prefix(c)))
	case text:
		fixed, low, high := textPrefix(c)
		// COLLATE: a bracket expression must mean bytes whatever the column's collation.
		cond = fmt.Sprintf(`%s COLLATE "C" ~ '^%s[%s][A-Za-z0-9_-]{%d,}$'`, name, fixed, textClass(low, high),
			minText(c)-(len(fixed)-len(codec.EncodeText(nil)))-1)
	default:
		// decode, because '\x…' depends on standard_conforming_strings. The server computes it
		// once.
		cond = fmt.Sprintf("octet_length(%[1]s) >= %[2]d AND substr(%[1]s, 1, %[3]d) = decode('%[4]s', 'hex')",
			name, c.Layout().Overhead(), prefixSize, hex.EncodeToString(prefix(c)))
	}
	return name + " IS NULL OR (" + cond + ")"
}

func liteText(name string, c *schema.Column) string {
	fixed, low, high := textPrefix(c)
	return fmt.Sprintf("typeof(%[1]s) = 'text' AND length(%[1]s) >= %[2]d AND substr(%[1]s, 1, %[3]d) = '%[4]s' AND "+
		"substr(%[1]s, %[5]d, 1) GLOB '[%[6]s]' AND substr(%[1]s, %[7]d) NOT GLOB '*[^A-Za-z0-9_-]*'",
		name, len(codec.EncodeText(nil))+minText(c), len(fixed), fixed, len(fixed)+1, textClass(low, high), len(codec.EncodeText(nil))+1)
}

// InCatalog reports whether the definition of a CHECK constraint, as pg_get_constraintdef prints
// it, is [Condition] for the column.
func InCatalog(definition string, c *schema.Column, text bool) bool {
	definition, ok := strings.CutPrefix(definition, "CHECK ")
	return ok && same(strings.TrimSuffix(definition, " NOT VALID"), dialect.Postgres, c, text)
}

// Is reports whether a condition is [Condition] for the column, stored as bytes or as text.
func Is(cond string, d dialect.Dialect, c *schema.Column) bool {
	return same(cond, d, c, false) || same(cond, d, c, true)
}

// same passes over the types and parentheses that the server prints of its own, and over the
// quotes of the column's name.
func same(cond string, d dialect.Dialect, c *schema.Column, text bool) bool {
	want := Condition(d, c, text)
	return bare(cond) == bare(want) || bare(cond) == bare(strings.ReplaceAll(want, dbcatalog.QuoteIdent(c.CellColumn()), c.CellColumn()))
}

var noise = strings.NewReplacer(" ", "", "\n", "", "(", "", ")", "", "::bytea", "", "::text", "", "::character varying", "")

func bare(s string) string { return noise.Replace(s) }
