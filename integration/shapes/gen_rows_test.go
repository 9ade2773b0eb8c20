package shapes

import (
	"fmt"
	"strings"
)

// rowTyped writes a statement that takes a row of a sealed table by way of its row type, or of what is made of that.
func (g *gen) rowTyped() string {
	g.writes = true
	field := func() string { return g.value([]class{mail, parted}[g.n(2)]) }
	row := func() string {
		return fmt.Sprintf("ROW(%s, %s, %s, %s, 1)", g.value(number), g.value(mail), g.value(parted), g.value(plainText))
	}
	name := g.pick("email", "ssn")
	switch g.n(12) {
	case 1:
		return fmt.Sprintf("UPDATE holders SET p.%s = %s WHERE id = %d", name, field(), g.n(4))
	case 2:
		return fmt.Sprintf("UPDATE holders SET ps[1].%s = %s", name, field())
	case 3:
		return fmt.Sprintf("INSERT INTO holders (id, p) VALUES (101, %s)", row())
	case 4:
		return fmt.Sprintf("INSERT INTO holders VALUES (101, %s, %s)", g.value(plainText), row())
	case 5:
		return fmt.Sprintf("SELECT id FROM holders AS %s WHERE (p).%s = %s", g.name(), name, field())
	case 6:
		return fmt.Sprintf("SELECT id FROM pair_holders WHERE ((pp).p).%s = %s", name, field())
	case 7:
		return fmt.Sprintf("UPDATE pair_holders SET pp.p.%s = %s", name, field())
	case 8:
		return fmt.Sprintf("SELECT %s(%s)", g.pick("takes_row", "takes_domain"), row())
	case 9:
		return fmt.Sprintf("SELECT %s(%s)", g.pick("gives_rows", "declares_array", "declares_domain"), g.value(mail))
	case 10:
		return fmt.Sprintf("SELECT (%s::%s).%s", row(), g.pick("parts", "part_row", "parts_1"), name)
	case 11: // the default of a column that is added would stand in the twin's catalog as it is
		g.direct = true
		return fmt.Sprintf(g.pick("CREATE TEMPORARY TABLE y (p %s DEFAULT %s)", "CREATE TEMPORARY TABLE y (p %s); INSERT INTO y VALUES (%s)",
			"ALTER TABLE orders ADD COLUMN y %s CHECK (y <> %s)"), g.pick("parts", "part_row"), row())
	}
	return fmt.Sprintf("SELECT (NULL::%s).%s = %s", g.pick("parts", "part_row", "parts_1"), name, field())
}

// program writes a statement with a function that runs a text, which may name a sealed table.
func (g *gen) program() string {
	g.direct = true // the values of the text are in it
	if g.now(5) {   // somebody's function runs one
		return fmt.Sprintf(g.pick("SELECT runs_text(%s)", "SELECT (%s::text).runs_text", "SELECT query_to_xml('SELECT runs_text(' || %s || ')', true, true, '')"), g.value(mail))
	}
	t := g.pick("contacts", "users", "archive", "leads")
	in := []source{{t, base[t], true}}
	text := fmt.Sprintf("SELECT id FROM %s WHERE %s = %s", t, base[t][1].name, g.value(base[t][1].class))
	switch g.n(4) {
	case 1:
		text = fmt.Sprintf("DELETE FROM %s WHERE %s", t, g.cond(in, 1))
	case 2: // the name is the last word
		text = fmt.Sprintf("SELECT %s FROM\n%s", g.value(base[t][1].class), t)
	}
	if g.now(3) {
		text = "$x$" + text + "$x$"
	} else if text = "'" + strings.ReplaceAll(text, "'", "''") + "'"; strings.ContainsAny(text, "\\\n") {
		text = "E" + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(text)
	}
	call := g.pick("query_to_xml("+text+", true, true, '')", "query_to_xmlschema("+text+", true, true, '')")
	if t != "contacts" { // only the sealed side has these
		call = g.pick(call, "cron.schedule('n', '* * * * *', "+text+")", "cron.alter_job(1, command => "+text+")")
	}
	switch g.n(5) {
	case 1:
		g.writes = true
		return "UPDATE orders SET memo = (" + call + ")::text"
	case 2:
		g.writes = true
		return "INSERT INTO orders (id, memo) VALUES (101, (" + call + ")::text)"
	case 3:
		g.writes = true
		return "CREATE VIEW y AS SELECT " + call + " AS x"
	case 4:
		return "SELECT o.id FROM orders AS o WHERE (" + call + ")::text <> ''"
	}
	return "SELECT (" + call + ")::text"
}
