package migrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pairtrigger"
	"github.com/colseal/colseal/schema"
)

func (m *migration) problem(t *table, p *pair, format string, args ...any) {
	m.report.Problems = append(m.report.Problems, t.label+"."+p.Name+": "+fmt.Sprintf(format, args...))
}

func (m *migration) note(t *table, format string, args ...any) {
	n := t.label + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(m.report.Notes, n) {
		m.report.Notes = append(m.report.Notes, n)
	}
}

// steps back and forth: what a state has to come from.
var before = map[bool]map[Ready][]Ready{
	true: {
		ReadyCopy:       {ReadyPlain, ReadyCopy, ReadySealed, ReadyOnly, ReadySealedOnly},
		ReadySealed:     {ReadyPlain, ReadyCopy, ReadySealed, ReadyOnly, ReadySealedOnly},
		ReadyOnly:       {ReadySealed, ReadyOnly, ReadySealedOnly},
		ReadySealedOnly: {ReadyOnly, ReadySealedOnly},
	},
	false: {
		ReadyOnly:   {ReadySealedOnly, ReadyOnly, ReadySealed, ReadyCopy, ReadyPlain},
		ReadySealed: {ReadyOnly, ReadySealed, ReadyCopy, ReadyPlain},
		ReadyCopy:   {ReadySealed, ReadyCopy, ReadyPlain},
		ReadyPlain:  {ReadyCopy, ReadyPlain},
	},
}

// readyText returns what a state is called for a pair.
func (p *pair) readyText(r Ready) string {
	if r == ReadyPlain && p.Was != nil {
		return "the options that it had"
	}
	return r.String()
}

// check finds what keeps the columns from what was asked for.
func (m *migration) check(ctx context.Context, in bool) error {
	from, ok := before[in][m.opts.For]
	if !ok {
		if in {
			return fmt.Errorf("nothing is sealed to make a database ready for %s: use Unseal", m.opts.For)
		}
		return fmt.Errorf("nothing is unsealed to make a database ready for %s: use Seal", m.opts.For)
	}
	for _, t := range m.tables {
		for _, p := range t.pairs {
			r, done := t.ready(p)
			if !slices.Contains(from, r) {
				m.problem(t, p, "the database is ready for %s; take the steps one by one", p.readyText(r))
			}
			back := !in && p.kept == nil // the plain column was the truth all the time
			if !done && r == ReadySealed && m.opts.For != ReadySealed && !back {
				m.problem(t, p, "a step before was not done to its end: run it again first")
			}
		}
	}
	for _, t := range m.tables {
		if err := m.checkFunction(ctx, t); err != nil {
			return err
		}
	}
	for _, mv := range m.moving(m.opts.For, in) {
		if err := errors.Join(m.checkMay(ctx, mv), m.checkCompanions(ctx, mv)); err != nil {
			return err
		}
		switch {
		case in && m.opts.For >= ReadyOnly:
			m.checkIdentity(mv, mv.plainCols())
		case !in && m.opts.For <= ReadyCopy:
			m.checkIdentity(mv, mv.cellCols())
		}
		switch {
		case in && m.opts.For <= ReadySealed:
			m.checkIn(mv)
			if err := errors.Join(m.surroundings(ctx, mv, false), m.checkNames(ctx, mv, mv.companionObjects(), mv.cellCols(), true)); err != nil {
				return err
			}
		case in && m.opts.For == ReadySealedOnly:
			for _, v := range mv.views {
				if v.kind == "m" && has(v.cols, mv.plainCols()...) {
					m.problem(mv.table, mv.pairs[0], "the materialized view %s holds values of the column: drop it first", v.name)
				}
			}
		case !in && (m.opts.For == ReadyOnly || m.opts.For == ReadySealed):
			m.checkRecord(mv)
			if err := m.checkNames(ctx, mv, mv.plainObjects(), mv.plainCols(), false); err != nil {
				return err
			}
		case !in && m.opts.For == ReadyPlain:
			for _, v := range mv.views {
				if has(v.cols, mv.cellCols()...) && !mv.carries(v) {
					m.problem(mv.table, mv.pairs[0], "the %s %s depends on the companion: drop it first", v.what(), v.name)
				}
			}
		}
	}
	for _, mv := range m.dropping() {
		if m.opts.Drop {
			m.note(mv.table, "without the plain columns, SELECT * by position shows the companions where they stand in the table, behind the other columns, and INSERT needs a column list")
		}
		if err := m.surroundings(ctx, mv, true); err != nil {
			return err
		}
		for _, v := range mv.views {
			if i := slices.IndexFunc(mv.pairs, func(x *pair) bool { return has(v.cols, x.plainCol) }); i >= 0 {
				m.problem(mv.table, mv.pairs[i], "the %s %s depends on the column: %s", v.what(), v.name, mv.pairs[i].viewAdvice())
			}
		}
	}
	return nil
}

// viewAdvice says what to do with a view that keeps a column from being dropped.
func (p *pair) viewAdvice() string {
	advice := "drop it first, and make it again afterwards with " + p.Stored + " in its place"
	if p.Source() == p.Name {
		advice += "; or leave the column where it is, NULL, without --drop"
	}
	return advice
}

func (v *view) what() string {
	if v.kind == "m" {
		return "materialized view"
	}
	return "view"
}

// plainHolds are the types that hold values of a kind, as the server prints them without modifiers.
var plainHolds = map[codec.Kind][]string{
	codec.KindText: {"text", "character varying"}, codec.KindBytes: {"bytea"}, codec.KindInt: {"bigint", "integer", "smallint"}, codec.KindFloat: {"double precision"},
	codec.KindBool: {"boolean"}, codec.KindTime: {"timestamp with time zone"}, codec.KindJSON: {"jsonb", "json"}, codec.KindUUID: {"uuid"}, codec.KindNumeric: {"numeric"},
	codec.KindTextArray: {"text[]", "character varying[]"}, codec.KindIntArray: {"bigint[]", "integer[]", "smallint[]"}, codec.KindDate: {"date"}, codec.KindTimestamp: {"timestamp without time zone"},
}

// withoutModifiers returns a type as numeric(10,2) without what stands in parentheses.
func withoutModifiers(typ string) string {
	from, to := strings.Index(typ, "("), strings.Index(typ, ")")
	if from < 0 || to < from {
		return typ
	}
	return typ[:from] + typ[to+1:]
}

// checkIn finds what companions cannot have of what plain columns have.
func (m *migration) checkIn(mv move) {
	for _, p := range mv.pairs {
		c := p.plainCol
		if p.Was != nil {
			if c.Type != "bytea" && !slices.Contains(plainHolds[codec.KindText], withoutModifiers(c.Type)) {
				m.problem(mv.table, p, "the type %s of %s does not hold cells", c.Type, p.Source())
			}
		} else if !slices.Contains(plainHolds[p.Kind], withoutModifiers(c.Type)) {
			m.problem(mv.table, p, "its type %s does not hold what the kind %s does: declare another kind, or change the type", c.Type, p.Kind)
		} else if withoutModifiers(c.Type) != c.Type {
			m.note(mv.table, "%s is %s: the server adapts plain values to that, and nothing does so for sealed ones", p.Name, c.Type)
		}
		if len(ddl.Functions([]*schema.Column{p.Column})) > 0 {
			m.note(mv.table, "searches of %s call functions: GRANT USAGE ON SCHEMA colseal to the roles of programs", p.Name)
		}
		if c.generated {
			m.problem(mv.table, p, "the server computes its values: write them in the program first")
		}
		if c.loose {
			m.note(mv.table, "%s compares with the collation %s: cells are equal where values are, byte by byte", p.Name, c.Collation)
		}
		if c.Default != "" {
			m.note(mv.table, "%s has the default %s, which the server cannot seal: name the column in each INSERT before sealed", p.Name, c.Default)
		}
		for _, ix := range mv.indexes {
			if has(ix.refers, c) {
				m.checkIndex(mv, p, ix)
			}
		}
		for _, k := range mv.checks {
			if has(k.cols, c) && (p.Was == nil || k.name != ddl.ConstraintName(p.Was)) {
				m.note(mv.table, "the constraint %s %s cannot look into cells: it ends with the plain column", k.name, k.def)
			}
		}
	}
	for _, k := range mv.checks {
		if !k.valid && !mv.ours(k) {
			m.problem(mv.table, mv.pairs[0], "the constraint %s is NOT VALID, and a row that it does not hold for cannot be written: validate it, or drop it", k.name)
		}
	}
	for _, fk := range mv.keys {
		if fk.touches(mv, false) {
			m.checkForeignKey(mv, fk)
		}
	}
	for _, v := range mv.views {
		if !mv.shows(v, mv.plainCols()) {
			continue
		}
		if !mv.carries(v) {
			m.note(mv.table, "the %s %s has no place for the companion: statements that name it are refused in sealed", v.what(), v.name)
		}
	}
}

// ours reports whether a CHECK is one that the steps make.
func (mv move) ours(k *constraint) bool {
	return slices.ContainsFunc(mv.all, func(p *pair) bool {
		return slices.Contains([]string{ddl.ConstraintName(p.Column), p.emptyName(), notNullName(p.Source()), notNullName(p.Stored)}, k.name)
	})
}

const isIdentity = "the index %s is the table's replica identity: choose another one"

// checkIdentity finds an index of columns that lose their indexes, by which subscribers know rows.
// Without it no row could be changed.
func (m *migration) checkIdentity(mv move, cols []*attribute) {
	for _, ix := range mv.indexes {
		if ix.replica && has(ix.refers, cols...) {
			m.problem(mv.table, mv.pairs[0], isIdentity, ix.name)
		}
	}
}

func (m *migration) checkIndex(mv move, p *pair, ix *index) {
	switch {
	case ix.kind == "p":
		m.problem(mv.table, p, "it is in the primary key, which rows are known by")
	case ix.kind == "x":
		m.problem(mv.table, p, "the exclusion constraint %s cannot look into cells: drop it first", ix.constraint)
	case ix.replica:
		m.problem(mv.table, p, isIdentity, ix.name)
	case ix.unique && has(ix.loose, p.plainCol):
		m.problem(mv.table, p, "the unique index %s compares with a collation, which cannot be had for cells: drop it, or the collation", ix.name)
	case mv.carried(ix):
	case ix.unique:
		m.problem(mv.table, p, "the unique index %s cannot be had for cells (%s): drop it, or make the column deterministic and the index one of columns", ix.name, ix.def)
	default:
		m.note(mv.table, "the index %s cannot be had for cells: what it serves is slow, or refused, from sealed on", ix.name)
	}
}

func (m *migration) checkForeignKey(mv move, fk *foreignKey) {
	var p *pair
	for _, x := range mv.pairs {
		if fk.fromHere && slices.Contains(fk.fromCols, x.Source()) || fk.toHere && slices.Contains(fk.toCols, x.Source()) {
			p = x
		}
	}
	if !fk.valid {
		m.problem(mv.table, p, "the foreign key %s is NOT VALID: validate it, or drop it", fk.name)
	}
	if slices.Contains([]string{"c", "n", "d"}, fk.onUpdate) || fk.onDelete == "d" {
		m.problem(mv.table, p, "the foreign key %s writes the column alone (%s): make it NO ACTION first", fk.name, fk.def)
	}
	if p.plainCol.loose {
		m.problem(mv.table, p, "the foreign key %s compares with a collation, which cannot be had for cells: drop one of them", fk.name)
	}
	find := func(name, column string) *pair {
		for _, t := range m.tables {
			for _, x := range t.pairs {
				if t.name == name && x.Source() == column {
					return x
				}
			}
		}
		return nil
	}
	for i := range fk.fromCols {
		from, to := find(fk.from, fk.fromCols[i]), find(fk.to, fk.toCols[i])
		switch {
		case from == nil && to == nil:
		case from == nil || to == nil:
			m.problem(mv.table, p, "the foreign key %s is between it and a column that is not sealed with it: seal both in one run", fk.name)
		case !from.EqualCells() || from.Identity() != to.Identity():
			m.problem(mv.table, p, "the foreign key %s needs equal cells for equal values in both of its columns: give them one join=GROUP", fk.name)
		}
	}
}

// columnsLimit is how many columns a table of PostgreSQL has at most, with those that were dropped.
const columnsLimit = 1600

const mayQuery = `SELECT pg_catalog.max(a.attnum)::pg_catalog.text, pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE')::pg_catalog.text, pg_catalog.pg_has_role(c.relowner, 'USAGE')::pg_catalog.text, n.nspname::pg_catalog.text,
	(pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'on')::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass($1) GROUP BY c.oid, n.oid`

// checkMay finds what keeps the role from changing the table, and the table from getting columns.
func (m *migration) checkMay(ctx context.Context, mv move) error {
	rows, err := m.q.Query(ctx, mayQuery, mv.name)
	if err != nil {
		return err
	}
	p := mv.pairs[0]
	for _, r := range rows {
		if r.Bool(4) {
			m.problem(mv.table, p, "the server, or a setting of the role or the database (default_transaction_read_only), lets it only read: write to the primary, or change the setting")
		}
		if !r.Bool(2) {
			m.problem(mv.table, p, "the role does not own the table: use its owner")
		}
		if !r.Bool(1) {
			m.problem(mv.table, p, "the role may not create a trigger's function in the schema %s: GRANT CREATE ON SCHEMA to it", r.Text(3))
		}
		more := 0
		for _, x := range mv.pairs {
			if x.plainCol == nil || x.cellCol == nil {
				more++
			}
		}
		if r.Int(0)+int64(more) > columnsLimit {
			m.problem(mv.table, p, "PostgreSQL has no place for one more column: there are %d, with those that were dropped, of %d", r.Int(0), columnsLimit)
		}
	}
	return nil
}

// sharedQuery finds other tables whose triggers go by a function.
const sharedQuery = `SELECT DISTINCT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
WHERE g.tgrelid <> pg_catalog.to_regclass($1) AND p.pronargs = 0 AND p.proname = $2 AND p.pronamespace = (SELECT t.relnamespace FROM pg_catalog.pg_class t WHERE t.oid = pg_catalog.to_regclass($1))`

// checkFunction finds another table that had the name before it was renamed, and whose trigger's
// function has it still.
func (m *migration) checkFunction(ctx context.Context, t *table) error {
	rows, err := m.q.Query(ctx, sharedQuery, t.name, pairtrigger.FunctionOf(t.rel.Name))
	for _, r := range rows {
		m.problem(t, t.pairs[0], "the function %s is that of the triggers of %s, which seems to have been renamed: rename the function, too (ALTER FUNCTION %[1]s() RENAME TO %[3]s)",
			t.triggerFunction(), dbcatalog.Name{Schema: r.Text(0), Table: r.Text(1)}.SQL(), dbcatalog.QuoteIdent(pairtrigger.FunctionOf(r.Text(1))))
	}
	return err
}

// checkRecord finds columns, or tables, that were renamed since it was noted what the plain column
// has to get: definitions, which name them.
func (m *migration) checkRecord(mv move) {
	for _, p := range mv.pairs {
		is := mv.name + "." + p.plain
		if p.kept != nil && p.kept.Name != "" && p.kept.Name != is && len(p.kept.Objects)+len(p.kept.Plain.After) > 0 {
			m.problem(mv.table, p, "it was called %s when it was noted what it has to get, and is %s now: call it so again, and rename it afterwards", p.kept.Name, is)
		}
	}
}

// checkCompanions finds columns with the names of companions that hold something else, or cells
// that no trigger has kept equal to the plain values.
func (m *migration) checkCompanions(ctx context.Context, mv move) error {
	for _, p := range mv.pairs {
		if _, known := mv.modes[p.Stored]; known || p.cellCol == nil || p.plainCol == nil || mv.empty(p) != nil {
			continue
		}
		exists := func(condition string) string {
			return "EXISTS (SELECT FROM " + mv.name + " WHERE " + condition + ")::pg_catalog.text"
		}
		rows, err := m.q.Query(ctx, "SELECT "+exists("NOT ("+backstop.Condition(dialect.Postgres, p.Column, false)+")")+
			", "+exists(p.cell+" IS NOT NULL")+", "+exists(p.cell+" IS NOT NULL AND "+p.plain+" IS NULL"))
		switch {
		case err != nil:
			return err
		case rows[0].Bool(0):
			m.problem(mv.table, p, "its column %s holds what is no cell: give the companion another name, with stored= in the tag", p.Stored)
		case m.opts.For == ReadyPlain:
		case rows[0].Bool(2):
			m.problem(mv.table, p, "its column %s holds cells, some without a value in %s, and there is no trigger %s: find out which of the two columns is right", p.Stored, p.Source(), pairtrigger.Name)
		case rows[0].Bool(1):
			m.problem(mv.table, p, "its column %s holds cells, and there is no trigger %s, so they may be of former values: drop it (ALTER TABLE %s DROP COLUMN %s), and it is made again", p.Stored, pairtrigger.Name, mv.name, p.cell)
		}
	}
	return nil
}

// checkNames finds names that objects get, and that something else has. cols are those that the
// objects are about.
func (m *migration) checkNames(ctx context.Context, mv move, objects []object, cols []*attribute, cells bool) error {
	for _, o := range objects {
		taken := slices.ContainsFunc(mv.checks, func(c *constraint) bool { return c.name == o.Name && (o.Kind != "check" || !has(c.cols, cols...)) }) ||
			slices.ContainsFunc(mv.keys, func(k *foreignKey) bool {
				return k.fromHere && k.name == o.Name && (o.Kind != "foreign key" || !k.touches(mv, cells))
			})
		i := slices.IndexFunc(mv.indexes, func(ix *index) bool { return ix.name == o.Name })
		switch {
		case o.Kind != "index" && o.Kind != "unique":
			taken = taken || i >= 0 && mv.indexes[i].constraint != ""
		case i >= 0:
			taken = taken || !has(mv.indexes[i].refers, cols...) || mv.indexes[i].unique != strings.HasPrefix(o.Def, "CREATE UNIQUE ")
		default:
			rows, err := m.q.Query(ctx, relationQuery, mv.name, o.Name)
			if err != nil {
				return err
			}
			taken = taken || len(rows) > 0
		}
		if taken {
			m.problem(mv.table, mv.pairs[0], "it gets the %s %s, and something else has the name: rename that", o.Kind, o.Name)
		}
	}
	return nil
}

const relationQuery = `SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c
WHERE c.relname = $2 AND c.relnamespace = (SELECT t.relnamespace FROM pg_catalog.pg_class t WHERE t.oid = pg_catalog.to_regclass($1))`

const surroundingsQuery = `SELECT DISTINCT CASE d.classid WHEN 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass THEN 'statistics' WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'function'
		WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'sequence' ELSE 'other' END,
	pg_catalog.pg_describe_object(d.classid, d.objid, 0), d.refobjsubid::pg_catalog.text
FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = pg_catalog.to_regclass($1) AND d.refobjsubid > 0
	AND (d.classid IN ('pg_catalog.pg_policy'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, 'pg_catalog.pg_publication_rel'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
	OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND EXISTS (SELECT FROM pg_catalog.pg_class s WHERE s.oid = d.objid AND s.relkind = 'S')
	OR d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND EXISTS (SELECT FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class s ON s.oid = w.ev_class WHERE w.oid = d.objid AND s.relkind NOT IN ('v', 'm'))
	OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef x WHERE x.oid = d.objid AND x.adnum = d.refobjsubid))
UNION ALL SELECT 'instead', w.rulename::pg_catalog.text, '0' FROM pg_catalog.pg_rewrite w WHERE w.ev_class = pg_catalog.to_regclass($1) AND w.is_instead
UNION ALL SELECT CASE WHEN p.pubupdate AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisprimary)) THEN 'unknown' ELSE 'published' END, p.pubname::pg_catalog.text, '0'
	FROM pg_catalog.pg_publication p, LATERAL pg_catalog.pg_get_publication_tables(p.pubname::pg_catalog.text) r JOIN pg_catalog.pg_class c ON c.oid = r.relid WHERE r.relid = pg_catalog.to_regclass($1)
UNION ALL SELECT CASE WHEN g.tgtype & 2 <> 0 THEN 'writes' ELSE 'reads' END, g.tgname::pg_catalog.text, '0' FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid WHERE g.tgrelid = pg_catalog.to_regclass($1) AND NOT g.tgisinternal AND g.tgname OPERATOR(pg_catalog.!~) $2 AND f.prosrc ~* $3
UNION ALL SELECT 'rows', g.tgname::pg_catalog.text, '0' FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid JOIN pg_catalog.pg_language l ON l.oid = f.prolang
	WHERE g.tgrelid = pg_catalog.to_regclass($1) AND NOT g.tgisinternal AND g.tgtype & 3 = 3 AND g.tgname OPERATOR(pg_catalog.!~) $2 AND f.prosrc !~* $3
		AND (l.lanname NOT IN ('plpgsql', 'internal') OR f.prosrc ~* '\mNEW\s*:=|\mINTO\s+(STRICT\s+)?NEW\M|populate_record|#=')
UNION ALL SELECT 'granted', a.attname::pg_catalog.text, a.attnum::pg_catalog.text FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attacl IS NOT NULL`

// surroundings finds what else there is about the columns, which may be about to be dropped.
func (m *migration) surroundings(ctx context.Context, mv move, drop bool) error {
	var names []string
	for _, p := range mv.pairs {
		names = append(names, regexp.QuoteMeta(p.Source()))
	}
	rows, err := m.q.Query(ctx, surroundingsQuery, mv.name, `^zz_colseal_(both_|pairs$)`, `\m(`+strings.Join(names, "|")+`)\M`)
	if err != nil {
		return err
	}
	for _, r := range rows {
		i := slices.IndexFunc(mv.pairs, func(p *pair) bool { return p.plainCol != nil && p.plainCol.num == r.Int(2) })
		switch what := r.Text(0); {
		case what == "instead":
			m.problem(mv.table, mv.pairs[0], "the rule %s takes the place of statements: drop it first", r.Text(1))
		case what == "unknown":
			m.problem(mv.table, mv.pairs[0], "the publication %s has its updates, for which it needs a REPLICA IDENTITY: give it one first", r.Text(1))
		case what == "published" && !drop:
			m.note(mv.table, "the publication %s has it: add the companion to the subscribers' tables first", r.Text(1))
		case (what == "writes" || what == "reads") && drop:
			m.problem(mv.table, mv.pairs[0], "the trigger %s names the column: have it name the companion first", r.Text(1))
		case what == "writes":
			m.note(mv.table, "the trigger %s names the column: what a trigger puts into it is not sealed", r.Text(1))
		case what == "rows" && !drop:
			m.note(mv.table, "the trigger %s can change whole rows: what it puts into a column is not sealed", r.Text(1))
		case what == "reads":
			m.note(mv.table, "the trigger %s names the column: it finds NULL there from only on", r.Text(1))
		case i < 0, what == "published", what == "rows", what == "granted" && drop, what == "sequence" && !drop:
		case what == "granted":
			m.note(mv.table, "roles have privileges on the column %s alone: give them the same on its companion", r.Text(1))
		case what == "statistics" && !drop:
			m.note(mv.table, "%s is about the plain column, which is NULL in the end", r.Text(1))
		case what == "function" && !drop:
			m.note(mv.table, "%s names the column: it finds NULL there from only on", r.Text(1))
		case what == "sequence":
			m.problem(mv.table, mv.pairs[i], "%s ends with the column: make it OWNED BY NONE first", r.Text(1))
		default:
			m.problem(mv.table, mv.pairs[i], "%s depends on it and cannot be had for cells: drop it first", r.Text(1))
		}
	}
	return nil
}
