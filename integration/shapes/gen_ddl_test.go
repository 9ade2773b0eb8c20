package shapes

import (
	"fmt"
	"strings"
)

// sqlType is the type of a plain column of a class.
func sqlType(c class) string {
	if c.numeric() {
		return "bigint"
	}
	return "text"
}

// definition writes a text of a definition with an expression, and of statements that come after it. It has no
// parameters, which the server does not take there.
func (g *gen) definition() string {
	g.writes, g.direct = true, true
	t := g.pick("users", "archive", "leads", "orders")
	see := []source{{t, base[t], true}}
	parts := []string{g.define(t, see)}
	for range g.n(3) {
		parts = append(parts, g.either(g.update, g.delete, func() string {
			return fmt.Sprintf("UPDATE %s SET id = id + %d WHERE %s", t, 200*g.n(2), g.cond(see, 1))
		}))
	}
	return strings.Join(parts, "; ")
}

// define writes the definition.
func (g *gen) define(t string, see []source) string {
	c := []class{plainText, number}[g.n(2)]
	switch g.n(12) {
	case 10:
		col := base[t][1+g.n(len(base[t])-1)]
		return fmt.Sprintf("ALTER %s %s RENAME TO y; UPDATE y SET %s = %s; ALTER TABLE y RENAME TO %[2]s",
			g.pick("TABLE", "INDEX", "FOREIGN TABLE", "SEQUENCE"), t, col.name, g.value(col.class))
	case 11:
		col := base[t][1+g.n(len(base[t])-1)]
		return fmt.Sprintf("%s %s TO y; UPDATE %s SET y = %s; ALTER TABLE %[3]s RENAME y TO %[2]s",
			g.pick("ALTER TYPE "+t+" RENAME ATTRIBUTE", "ALTER TABLE "+t+" RENAME", "ALTER VIEW "+t+" RENAME"), col.name, t, g.value(col.class))
	case 1:
		return fmt.Sprintf("ALTER TABLE %s ADD COLUMN x %s DEFAULT %s CHECK (%s)", t, sqlType(c), g.value(c), g.cond(see, 1))
	case 2:
		return fmt.Sprintf("ALTER TABLE %s ADD COLUMN x %s GENERATED ALWAYS AS (%s) STORED", t, sqlType(c), g.mostly(see, c, 1))
	case 3:
		return fmt.Sprintf("CREATE INDEX ON %s (%s) WHERE %s", t, g.pick("id", "id, "+base[t][1].name, "(lower(id::text))"), g.cond(see, 1))
	case 4:
		return fmt.Sprintf("CREATE POLICY p ON %s USING (%s)", t, g.cond(see, 2))
	case 5:
		rows := []source{{"NEW", base[t], true}, {"OLD", base[t], true}}
		return fmt.Sprintf("CREATE TRIGGER t BEFORE UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION suppress_redundant_updates_trigger()", t, g.cond(rows, 1))
	case 6:
		col := base[t][1+g.n(len(base[t])-1)]
		return fmt.Sprintf("ALTER TABLE %s ALTER %s SET DEFAULT %s", t, col.name, g.value(col.class))
	case 7:
		return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (id bigint CHECK (%s))", t, g.cond(see, 1))
	case 8:
		return "ALTER TABLE users ALTER note TYPE text USING " + g.mostly([]source{{"users", base["users"], true}}, plainText, 1)
	case 9:
		child := []source{{"y", base[t], true}}
		return fmt.Sprintf("CREATE TEMPORARY TABLE y (CHECK (%s)) INHERITS (%s)", g.cond(child, 1), t) + g.pick("", fmt.Sprintf("; UPDATE y SET id = id + 1 WHERE %s", g.cond(child, 1)))
	}
	return fmt.Sprintf("ALTER TABLE %s ADD CHECK (%s)%s", t, g.cond(see, 1), g.pick("", " NOT VALID"))
}
