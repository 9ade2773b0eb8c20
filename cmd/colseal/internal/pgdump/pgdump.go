// Package pgdump reads the rows of one table from a dump of a PostgreSQL database in pg_dump's
// plain format: from COPY or from INSERT commands. Nothing is executed.
package pgdump

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// Field is a column's value, as the server writes it.
type Field struct {
	Text string
	Null bool
}

// ErrFormat is the error of a dump that is in none of the forms that are read.
var ErrFormat = errors.New("this is no dump in plain format")

// Read calls row for each row of a table. A table without a schema is looked for in every schema of
// the dump; if several have it, Read fails. Of the rest of a dump, which may be large, little is
// kept in memory at a time.
//
// No error holds anything of the dump but the names of tables and columns.
func Read(r io.Reader, table dbcatalog.Name, row func(columns []string, fields []Field) error) error {
	d := &dump{lexer: lexer{in: bufio.NewReaderSize(r, 1<<16), line: 1}, want: table, row: row, columns: map[dbcatalog.Name][]string{}}
	switch {
	case d.peek("PGDMP"):
		return fmt.Errorf("%w: it is in pg_dump's custom format: have it written as plain text with `pg_restore -f - -t %s FILE`", ErrFormat, table.Table)
	case d.peek("\x1f\x8b"):
		return fmt.Errorf("%w: it is compressed: decompress it first", ErrFormat)
	}
	for {
		err := d.statement()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if d.found == nil {
		return fmt.Errorf("the dump has no rows of a table %s", table.SQL())
	}
	return nil
}

// dump is a dump that is being read.
type dump struct {
	lexer
	want    dbcatalog.Name
	row     func([]string, []Field) error
	columns map[dbcatalog.Name][]string // of the tables of that name, as CREATE TABLE lists them
	found   *dbcatalog.Name             // the table whose rows were seen
	left    bool                        // another database followed
}

// statement reads one statement, with the data that follows it, or a command of psql's.
func (d *dump) statement() error {
	if err := d.skipSpace(); err != nil {
		return err
	}
	if d.peek(`\`) {
		command, err := d.restOfLine()
		if strings.HasPrefix(command.text, `\c`) {
			d.left = d.found != nil
			clear(d.columns)
		}
		return err
	}
	t, err := d.next()
	if err != nil {
		return err
	}
	switch {
	case t.is(word, "copy"):
		err = d.copy()
	case t.is(word, "insert"):
		err = d.insert()
	case t.is(word, "create"):
		err = d.create()
	case t.is(word, "set"):
		err = d.set()
	default:
		err = d.skip(t)
	}
	if err == io.EOF {
		return unexpected(err)
	}
	return err
}

// skip reads to the end of a statement of which t was read.
func (d *dump) skip(t token) (err error) {
	for t.kind != end && err == nil {
		t, err = d.next()
	}
	return err
}

// set reads a SET command: the settings that change what the dump means must have the usual value.
func (d *dump) set() error {
	setting, err := d.next()
	if err != nil {
		return err
	}
	eq, err := d.next()
	if err != nil || !eq.is(symbol, "=") {
		return cmp.Or(err, d.skip(eq))
	}
	value, err := d.next()
	if err != nil {
		return err
	}
	switch {
	case setting.is(word, "standard_conforming_strings") && !strings.EqualFold(value.text, "on"):
		return d.errorf("%w: its strings are not standard: dump it again with standard_conforming_strings on", ErrFormat)
	case setting.is(word, "client_encoding") && !strings.EqualFold(value.text, "UTF8") && !strings.EqualFold(value.text, "SQL_ASCII"):
		return d.errorf("%w: its encoding is not UTF-8: dump it again with --encoding=UTF8", ErrFormat)
	}
	return d.skip(value)
}

// create reads a CREATE command: of a table that may be meant it keeps the columns, and of a
// function it finds the end, since its body may hold statements.
func (d *dump) create() error {
	t, err := d.next()
	for err == nil && t.kind == word && slices.Contains([]string{"or", "replace", "unlogged"}, t.text) {
		t, err = d.next()
	}
	switch {
	case err != nil:
		return err
	case t.is(word, "function"), t.is(word, "procedure"):
		return d.skipRoutine()
	case !t.is(word, "table"):
		return d.skip(t)
	}
	table, t, err := d.tableName()
	if err != nil || !d.wanted(table) || !t.is(symbol, "(") {
		return cmp.Or(err, d.skip(t))
	}
	var columns []string
	depth, first := 1, true
	for depth > 0 {
		if t, err = d.next(); err != nil {
			return err
		}
		switch {
		case t.kind == end:
			return d.errorf("%w: CREATE TABLE %s is not complete", ErrFormat, table.SQL())
		case t.is(symbol, "("):
			depth++
		case t.is(symbol, ")"):
			depth--
		case first && t.kind == name, first && t.kind == word && !slices.Contains([]string{"constraint", "check", "unique", "primary", "foreign", "exclude", "like"}, t.text):
			columns = append(columns, t.text)
		}
		first = depth == 1 && t.is(symbol, ",")
	}
	d.columns[table] = columns
	return d.skip(t)
}

// skipRoutine reads to the end of CREATE FUNCTION: statements between BEGIN ATOMIC and END belong
// to it.
func (d *dump) skipRoutine() error {
	var last token
	for depth := 0; ; {
		t, err := d.next()
		switch {
		case err != nil:
			return err
		case t.kind == end && depth == 0:
			return nil
		case last.is(word, "begin") && t.is(word, "atomic"), t.is(word, "case") && depth > 0:
			depth++
		case t.is(word, "end") && depth > 0:
			depth--
		}
		last = t
	}
}

// tableName reads the name of a table, after ONLY or IF NOT EXISTS, and the token behind it.
func (d *dump) tableName() (table dbcatalog.Name, after token, err error) {
	t, err := d.next()
	for err == nil && t.kind == word && slices.Contains([]string{"only", "if", "not", "exists"}, t.text) {
		t, err = d.next()
	}
	if err != nil || t.kind != word && t.kind != name {
		return dbcatalog.Name{}, t, err
	}
	table.Table = t.text
	if after, err = d.next(); err != nil || !after.is(symbol, ".") {
		return table, after, err
	}
	table.Schema = table.Table
	if t, err = d.next(); err != nil {
		return table, t, err
	}
	table.Table = t.text
	after, err = d.next()
	return table, after, err
}

func (d *dump) wanted(table dbcatalog.Name) bool {
	return table.Table == d.want.Table && (d.want.Schema == "" || table.Schema == d.want.Schema)
}

// find notes that a table has rows.
func (d *dump) find(table dbcatalog.Name) error {
	switch {
	case d.found == nil:
		d.found = &table
	case d.left:
		return d.errorf("the dump has the table %s in several databases: dump the one that is meant", table.SQL())
	case *d.found != table:
		return d.errorf("the dump has two tables of that name, %s and %s: name one with its schema", d.found.SQL(), table.SQL())
	}
	return nil
}

// columnList reads (a, b, …) after its first parenthesis.
func (d *dump) columnList() (columns []string, err error) {
	for {
		t, err := d.next()
		if err != nil {
			return nil, err
		}
		sep, err := d.next()
		if err != nil {
			return nil, err
		}
		if t.kind != word && t.kind != name || !sep.is(symbol, ",") && !sep.is(symbol, ")") {
			return nil, d.errorf("%w: a list of columns cannot be read", ErrFormat)
		}
		if columns = append(columns, t.text); sep.text == ")" {
			return columns, nil
		}
	}
}

// copy reads a COPY command and its data.
func (d *dump) copy() error {
	table, t, err := d.tableName()
	if err != nil {
		return err
	}
	mine := d.wanted(table)
	columns := d.columns[table]
	if mine && t.is(symbol, "(") {
		if columns, err = d.columnList(); err != nil {
			return err
		}
		if t, err = d.next(); err != nil {
			return err
		}
	}
	stdin, options := false, false
	for last := t; t.kind != end; last = t {
		if t, err = d.next(); err != nil {
			return err
		}
		if last.is(word, "from") && t.is(word, "stdin") {
			stdin = true
			continue
		}
		options = options || stdin && t.kind != end
	}
	if mine && (!stdin || options || columns == nil) {
		return d.errorf("%w: pg_dump writes COPY %s (columns) FROM stdin", ErrFormat, table.SQL())
	}
	if !stdin {
		return nil
	}
	if rest, err := d.restOfLine(); err != nil || strings.TrimSpace(rest.text) != "" {
		return cmp.Or(err, d.errorf("%w: something follows COPY", ErrFormat))
	}
	if !mine {
		return d.skipData()
	}
	if err := d.find(table); err != nil {
		return err
	}
	return d.data(columns)
}

// skipData reads to the end of the data of a COPY command.
func (d *dump) skipData() error {
	for {
		if ended := d.peek("\\.\n") || d.peek("\\.\r\n"); ended {
			return d.skipLine()
		}
		if err := d.skipLine(); err != nil {
			return err
		}
	}
}

// data reads the rows of a COPY command.
func (d *dump) data(columns []string) error {
	for {
		line, err := d.restOfLine()
		switch {
		case err != nil:
			return err
		case line.text == `\.`:
			return nil
		case line.long:
			return d.errorf("%w: a row is longer than %d bytes", ErrFormat, maxToken)
		}
		var fields []Field
		for text := range strings.SplitSeq(line.text, "\t") {
			f := Field{Null: text == `\N`}
			if !f.Null {
				f.Text = unescape(text)
			}
			fields = append(fields, f)
		}
		if err := d.give(columns, fields); err != nil {
			return err
		}
	}
}

func (d *dump) give(columns []string, fields []Field) error {
	if len(fields) != len(columns) {
		return d.errorf("%w: a row has %d fields, and the table %d columns", ErrFormat, len(fields), len(columns))
	}
	if err := d.row(columns, fields); err != nil {
		return d.errorf("%w", err)
	}
	return nil
}

// unescape returns a field of COPY's text format as it was.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		base, most := 8, 3
		digits := s[i:]
		if s[i] == 'x' {
			base, most, digits = 16, 2, s[i+1:]
		}
		n := 0
		for n < min(most, len(digits)) && isDigitOf(base, digits[n]) {
			n++
		}
		switch at := strings.IndexByte("bfnrtv", s[i]); {
		case n > 0:
			c, _ := strconv.ParseUint(digits[:n], base, 16) // they are digits
			b.WriteByte(byte(c))                            //nolint:gosec // as the server does
			i += n - 1
			if base == 16 {
				i++
			}
		case at >= 0:
			b.WriteByte("\b\f\n\r\t\v"[at])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isDigitOf(base int, c byte) bool {
	_, err := strconv.ParseUint(string(c), base, 8)
	return err == nil
}

// insert reads an INSERT command.
func (d *dump) insert() error {
	t, err := d.next()
	if err != nil || !t.is(word, "into") {
		return cmp.Or(err, d.skip(t))
	}
	table, t, err := d.tableName()
	if err != nil || !d.wanted(table) {
		return cmp.Or(err, d.skip(t))
	}
	if err := d.find(table); err != nil {
		return err
	}
	columns := d.columns[table]
	if t.is(symbol, "(") {
		if columns, err = d.columnList(); err != nil {
			return err
		}
		if t, err = d.next(); err != nil {
			return err
		}
	}
	for _, optional := range []string{"overriding", "system", "value"} {
		if t.is(word, optional) {
			if t, err = d.next(); err != nil {
				return err
			}
		}
	}
	if !t.is(word, "values") || columns == nil {
		return d.errorf("%w: pg_dump writes INSERT INTO %s VALUES, and before it CREATE TABLE", ErrFormat, table.SQL())
	}
	for {
		if err := d.values(columns); err != nil {
			return err
		}
		if t, err = d.next(); err != nil || !t.is(symbol, ",") {
			return cmp.Or(err, d.skip(t)) // ON CONFLICT DO NOTHING
		}
	}
}

// values reads one row of an INSERT command.
func (d *dump) values(columns []string) error {
	t, err := d.next()
	if err != nil {
		return err
	}
	if !t.is(symbol, "(") {
		return d.errorf("%w: the rows of an INSERT cannot be read", ErrFormat)
	}
	var fields []Field
	for !t.is(symbol, ")") {
		if t, err = d.next(); err != nil {
			return err
		}
		var f Field
		switch {
		case t.long:
			return d.errorf("%w: a value is longer than %d bytes", ErrFormat, maxToken)
		case t.kind == str, t.kind == number, t.is(word, "true"), t.is(word, "false"):
			f.Text = t.text
		case t.is(word, "null"):
			f.Null = true
		case t.is(symbol, "-"):
			if t, err = d.next(); err != nil {
				return err
			}
			f.Text = "-" + t.text
		default:
			return d.errorf("%w: a value of an INSERT is no constant", ErrFormat)
		}
		fields = append(fields, f)
		if t, err = d.next(); err != nil {
			return err
		}
		if !t.is(symbol, ",") && !t.is(symbol, ")") {
			return d.errorf("%w: a value of an INSERT is no constant", ErrFormat)
		}
	}
	return d.give(columns, fields)
}
