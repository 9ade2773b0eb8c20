package migrate

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/walk"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// runLite takes columns of SQLite the whole way.
func (m *migration) runLite(ctx context.Context, in bool) error {
	if end := legs[in][len(legs[in])-1]; !m.opts.Lock || m.opts.For != end {
		return errors.New("on SQLite all steps are taken at once: stop the programs that use the file, and use --lock without --for (Options.Lock, for the last state)")
	}
	steps, all, err := m.planLite(ctx, in)
	switch {
	case walk.ObstacleOf(err) == walk.Contention:
		return errInUse // it was free just now
	case err != nil:
		return err
	case m.opts.DryRun:
		if len(m.report.Problems) == 0 {
			m.report.Steps = steps
		}
		return nil
	case len(m.report.Problems) > 0:
		return ErrProblems
	}
	undo, err := m.prepareLite(ctx)
	if err != nil {
		return err
	}
	defer undo()
	if err := m.patientlyLite(ctx, errInUse, func() error { return m.free(ctx) }); err != nil {
		return err
	}
	if err := m.patientlyLite(ctx, errInUse, func() error { return m.guard(ctx, in) }); err != nil {
		return hint.Join(err, m.tellAll(ctx))
	}
	if err := m.patientlyLite(ctx, errInUse, func() error { return m.hold(ctx, all, in) }); err != nil {
		return hint.Join(err, m.tellAll(ctx))
	}
	if err := m.transactLite(ctx, in); err != nil {
		m.report.Sealed, m.report.Opened = 0, 0
		return hint.Join(err, m.tellAll(ctx))
	}
	m.report.Steps = steps
	if err := m.tellAll(ctx); err != nil || !in {
		return err
	}
	return m.patientlyLite(ctx, errNotRewritten, func() error { return m.rewriteLite(ctx) })
}

// errInUse says that nothing was done, and errNotRewritten that all was but for the file.
var (
	errInUse = hint.With(errors.New("the file is in use: nothing was changed"),
		"stop every program that uses it, close transactions that were left open, and run it again")
	errNotRewritten = hint.With(errors.New("all is sealed, but the file is in use and could not be rewritten: old values may still stand in it"),
		"stop every program that uses it, close transactions that were left open, and run it again: it rewrites the file")
)

// files returns the names that the connection has for the files of the tables.
func (m *migration) files() []string {
	var out []string
	for _, t := range m.tables {
		if !slices.Contains(out, t.rel.Schema) {
			out = append(out, t.rel.Schema)
		}
	}
	return out
}

// prepareLite sets up the connection. undo takes it back.
func (m *migration) prepareLite(ctx context.Context) (undo func(), err error) {
	var back []string
	undo = func() {
		for _, s := range back {
			_, _ = m.q.Query(context.WithoutCancel(ctx), s) // of this connection alone
		}
	}
	all := slices.Clone(pragmas)
	for _, f := range m.files() {
		all = append(all, [2]string{dbcatalog.QuoteIdent(f) + ".journal_size_limit", "0"})
	}
	for _, p := range all {
		was, err := m.q.Query(ctx, "PRAGMA "+p[0])
		if err == nil {
			_, err = m.q.Query(ctx, "PRAGMA "+p[0]+" = "+p[1])
		}
		if err != nil {
			undo()
			return nil, err
		}
		back = append(back, "PRAGMA "+p[0]+" = "+strconv.FormatInt(was[0].Int(0), 10))
	}
	return undo, nil
}

// free reports somebody who uses the files.
func (m *migration) free(ctx context.Context) error {
	for _, s := range []string{"BEGIN EXCLUSIVE", "ROLLBACK"} {
		if _, err := m.q.Exec(ctx, s); err != nil {
			return err
		}
	}
	return m.emptyLog(ctx)
}

// planLite finds what has to be done.
func (m *migration) planLite(ctx context.Context, in bool) ([]Step, []*remade, error) {
	m.report.Problems = nil
	all, err := m.remake(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	var steps []Step
	what := "make it again, with its values opened"
	if in {
		what = "make it again, with its values sealed"
	}
	for _, r := range all {
		steps = append(steps, Step{Table: r.label, What: what, SQL: append([]string{r.make(r.sql)}, r.belongings()...)})
	}
	for _, mv := range m.dropping() {
		for _, p := range mv.pairs {
			steps = append(steps, Step{Table: mv.label, What: "drop the plain columns", SQL: []string{"ALTER TABLE " + mv.name + " DROP COLUMN " + p.plain}})
		}
	}
	if len(m.dropping()) > 0 {
		views, err := m.views(ctx)
		if err != nil {
			return nil, nil, err
		}
		for v, works := range views {
			if !works {
				m.report.Problems = append(m.report.Problems, "the view "+v+" does not work, and SQLite drops no column while that is so: correct it, or drop it first")
			}
		}
		slices.Sort(m.report.Problems)
	}
	if in {
		for _, f := range m.files() {
			steps = append(steps, Step{Table: f, What: "rewrite the file", SQL: []string{"VACUUM " + dbcatalog.QuoteIdent(f)}})
		}
	}
	return steps, all, nil
}

// createHead is what comes before the name in a definition, as SQLite keeps it: without the file's.
var createHead = regexp.MustCompile(`^CREATE (UNIQUE )?(TABLE|INDEX|TRIGGER) `)

// make returns the statement that makes something by its definition, in the table's file.
func (r *remade) make(definition string) string {
	if r.rel.Schema == "main" {
		return definition
	}
	return createHead.ReplaceAllStringFunc(definition, func(head string) string { return head + dbcatalog.QuoteIdent(r.rel.Schema) + "." })
}

// in returns the name of one of SQLite's own tables in a table's file.
func (t *table) in(name string) string { return dbcatalog.QuoteIdent(t.rel.Schema) + "." + name }

// views returns whether each view in the files of the tables works.
func (m *migration) views(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	for _, f := range m.files() {
		rows, err := m.q.Query(ctx, "SELECT name FROM "+dbcatalog.QuoteIdent(f)+".sqlite_master WHERE type = 'view'")
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			name := dbcatalog.Name{Schema: f, Table: r.Text(0)}.SQL()
			_, err := m.q.Query(ctx, "SELECT * FROM "+name+" LIMIT 0")
			if walk.ObstacleOf(err) == walk.Contention {
				return nil, err
			}
			out[name] = err == nil
		}
	}
	return out, ctx.Err()
}

// belongings returns the statements that make what belongs to a table.
func (r *remade) belongings() []string {
	var out []string
	left := maps.Clone(r.indexes)
	for _, o := range r.lite.objects {
		if !strings.EqualFold(o.table, r.rel.Name) || o.kind != "index" && o.kind != "trigger" {
			continue
		}
		text, changed := r.indexes[o.name]
		if delete(left, o.name); !changed || o.kind == "trigger" {
			text = o.sql
		}
		if text != "" {
			out = append(out, r.make(text))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if left[name] != "" {
			out = append(out, r.make(left[name]))
		}
	}
	return out
}

// heldKey names a key that was fetched before the file was locked: the keyring may be in it.
type heldKey struct {
	identity string
	suite    codec.Suite
	scope    string // of a key that seals
	id       uint32 // of one that opens
}

// counted returns the values of a column, by scope.
func (m *migration) counted(ctx context.Context, t *table, p *pair) ([]dbcatalog.Row, error) {
	return m.q.Query(ctx, "SELECT "+m.scopeOf()+", count(*) FROM "+t.name+" AS t WHERE t."+p.plain+" IS NOT NULL GROUP BY 1 ORDER BY 1")
}

// scopeOf returns a row's scope in a statement.
func (m *migration) scopeOf() string {
	switch {
	case m.opts.ScopeColumn == "":
		return "NULL"
	case m.onLite():
		return "CAST(t." + dbcatalog.QuoteIdent(m.opts.ScopeColumn) + " AS text)"
	}
	return "CAST(t." + dbcatalog.QuoteIdent(m.opts.ScopeColumn) + " AS pg_catalog.text)"
}

// scoped returns the context for a row.
func (m *migration) scoped(ctx context.Context, scope string) context.Context {
	if m.opts.ScopeColumn != "" {
		ctx = keyring.WithScope(ctx, scope)
	}
	return ctx
}

// hold fetches all keys that are needed.
func (m *migration) hold(ctx context.Context, all []*remade, in bool) error {
	held := map[heldKey]*codec.Key{}
	for _, r := range all {
		for _, p := range r.pairs {
			var err error
			switch {
			case !in:
				err = m.holdOpeners(ctx, held, r.table, p.cell, p.Column, p.Was)
			case p.Was != nil:
				err = m.holdOpeners(ctx, held, r.table, p.plain, p.Was, p.Column)
			}
			if err != nil {
				return err
			}
			if !in || p.Was != nil {
				continue
			}
			rows, err := m.counted(ctx, r.table, p)
			if err != nil {
				return err
			}
			for _, row := range rows {
				ctx := m.scoped(ctx, row.Text(0))
				if held[heldKey{identity: p.Identity(), suite: p.Suite(), scope: keyring.ScopeOf(ctx)}], err = m.sealer(ctx, p.Column, int(row.Int(1))); err != nil {
					return err
				}
			}
		}
	}
	m.held = held
	return nil
}

// holdOpeners fetches the keys that open the cells of a column, and those that seal their values in
// another one, if to is not nil. A cell may be text, which the name of its key is longer in.
func (m *migration) holdOpeners(ctx context.Context, held map[heldKey]*codec.Key, t *table, name string, from, to *schema.Column) error {
	rows, err := m.q.Query(ctx, fmt.Sprintf("SELECT min(%[1]s), count(*) FROM %[2]s WHERE %[1]s IS NOT NULL GROUP BY substr(%[1]s, 1, CASE typeof(%[1]s) WHEN 'text' THEN %[3]d ELSE %[4]d END)",
		name, t.name, len(codec.TextPrefix)+(codec.HeaderSize*8+5)/6, codec.HeaderSize))
	if err != nil {
		return err
	}
	for _, row := range rows {
		cell, _, err := front.StoredCell(row[0], false, from.Tag())
		if err != nil {
			continue // it is met again
		}
		h, err := codec.Recognize(cell, from.Tag())
		if err != nil {
			continue
		}
		key, err := m.fetched(ctx, from, h)
		if err != nil && !ofOneValue(err) {
			return err
		}
		held[heldKey{identity: from.Identity(), suite: h.Suite, id: h.KeyID}] = key
		if key == nil || to == nil {
			continue
		}
		scope, err := m.scopeOfKey(ctx, h.KeyID)
		if err != nil {
			return err
		}
		ctx := keyring.WithScope(ctx, scope)
		if held[heldKey{identity: to.Identity(), suite: to.Suite(), scope: keyring.ScopeOf(ctx)}], err = m.sealer(ctx, to, int(row.Int(1))); err != nil {
			return err
		}
	}
	return nil
}

// errMoved says that a program is at work.
var errMoved = hint.With(errors.New("the file is in use: its tables were changed meanwhile, and nothing was changed by this"),
	"stop every program that uses it, and run it again")

// pragmas are what a connection needs to make tables again. They overwrite pages that become free,
// and wait for others for a second at a time.
var pragmas = [][2]string{{"foreign_keys", "OFF"}, {"legacy_alter_table", "ON"}, {"secure_delete", "ON"}, {"busy_timeout", "1000"}}

// transactLite does all in one transaction.
func (m *migration) transactLite(ctx context.Context, in bool) (err error) {
	if err := m.patientlyLite(ctx, errInUse, func() error { _, err := m.q.Exec(ctx, "BEGIN EXCLUSIVE"); return err }); err != nil {
		return err
	}
	m.locked = true
	err = m.makeAll(ctx, in)
	m.locked = false
	if err == nil {
		if err = m.patientlyLite(ctx, errInUse, func() error { _, err := m.q.Exec(ctx, "COMMIT"); return err }); err == nil {
			return nil
		}
	}
	_, rerr := m.q.Exec(context.WithoutCancel(ctx), "ROLLBACK")
	return hint.Join(err, rerr)
}

// liteWait is how long others are waited for. Programs are to be stopped: who comes later is not
// one that only ends its work.
const liteWait = 10 * time.Second

// patientlyLite calls f until nobody is in its way, for a while. Then it returns inUse.
func (m *migration) patientlyLite(ctx context.Context, inUse error, f func() error) error {
	for began, told := time.Now(), false; ; told = true {
		err := f()
		if walk.ObstacleOf(err) != walk.Contention {
			return err
		}
		if !told {
			m.notice("the file is in use: stop the programs; waiting for %s", liteWait)
		}
		if time.Since(began) > liteWait {
			return inUse
		}
		if err := walk.Pause(ctx, minPause); err != nil {
			return hint.Join(inUse, err)
		}
	}
}

// makeAll makes the tables again.
func (m *migration) makeAll(ctx context.Context, in bool) error {
	for _, t := range m.tables {
		if err := m.readTable(ctx, t); err != nil {
			return err
		}
	}
	_, all, err := m.planLite(ctx, in)
	switch {
	case err != nil:
		return err
	case len(m.report.Problems) > 0:
		return ErrProblems
	}
	worked, err := m.views(ctx)
	if err != nil {
		return err
	}
	before, err := m.q.Query(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := m.makeAgain(ctx, r, in); err != nil {
			return fmt.Errorf("table %s: %w", r.label, err)
		}
	}
	after, err := m.q.Query(ctx, "PRAGMA foreign_key_check")
	switch {
	case err != nil:
		return err
	case m.report.Unfit > 0:
		return ErrUnfit
	case len(after) > len(before):
		return fmt.Errorf("%d rows would refer to none", len(after)-len(before))
	}
	for _, mv := range m.dropping() {
		for _, p := range mv.pairs {
			if _, err := m.q.Exec(ctx, "ALTER TABLE "+mv.name+" DROP COLUMN "+p.plain); err != nil {
				return err
			}
		}
	}
	views, err := m.views(ctx)
	if err != nil {
		return err
	}
	for _, v := range slices.Sorted(maps.Keys(views)) {
		if worked[v] && !views[v] {
			m.report.Problems = append(m.report.Problems, "the view "+v+" would not work any more: drop it first, and make it again afterwards")
		}
	}
	if len(m.report.Problems) > 0 {
		return ErrProblems
	}
	return nil
}

// makeAgain makes one table again.
func (m *migration) makeAgain(ctx context.Context, r *remade, in bool) error {
	oldName := "colseal_old_" + r.rel.Name
	old := dbcatalog.Name{Schema: r.rel.Schema, Table: oldName}.SQL()
	analyzed, err := m.analyzed(ctx, r.table)
	if err != nil {
		return err
	}
	for _, s := range []string{"ALTER TABLE " + r.name + " RENAME TO " + dbcatalog.QuoteIdent(oldName), r.make(r.sql)} {
		if _, err := m.q.Exec(ctx, s); err != nil {
			return err
		}
	}
	made, _, err := dbcatalog.ReadRelation(ctx, m.q, dialect.SQLite, r.rel.Schema, r.rel.Name)
	if err != nil {
		return err
	}
	for _, p := range r.pairs {
		p.plainCol = &attribute{}
		if slices.ContainsFunc(made.Columns, func(c dbcatalog.Column) bool {
			return strings.EqualFold(c.Name, p.Source()) && c.Storage == dbcatalog.StorageBytes
		}) {
			p.plainCol.Type = "bytea" // of cells that had other options
		}
	}
	if err := m.copyRows(ctx, r, old, in); err != nil {
		return err
	}
	counters, err := m.q.Query(ctx, "SELECT 1 FROM "+r.in("sqlite_master")+" WHERE name = 'sqlite_sequence'")
	if err != nil {
		return err
	}
	var then []string
	if len(counters) > 0 { // of AUTOINCREMENT
		then = append(then, "DELETE FROM "+r.in("sqlite_sequence")+" WHERE name = "+dbcatalog.QuoteLiteral(r.rel.Name),
			"INSERT INTO "+r.in("sqlite_sequence")+" (name, seq) SELECT "+dbcatalog.QuoteLiteral(r.rel.Name)+", seq FROM "+r.in("sqlite_sequence")+" WHERE name = "+dbcatalog.QuoteLiteral(oldName))
	}
	then = append(append(then, "DROP TABLE "+old), r.belongings()...)
	if analyzed {
		then = append(then, "ANALYZE "+r.name)
	}
	for _, s := range then {
		if _, err := m.q.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// analyzed reports whether there are statistics of a table.
func (m *migration) analyzed(ctx context.Context, t *table) (bool, error) {
	rows, err := m.q.Query(ctx, "SELECT 1 FROM "+t.in("sqlite_master")+" WHERE name = 'sqlite_stat1'")
	if err != nil || len(rows) == 0 {
		return false, err
	}
	rows, err = m.q.Query(ctx, "SELECT 1 FROM "+t.in("sqlite_stat1")+" WHERE lower(tbl) = lower(?1)", t.rel.Name)
	return len(rows) > 0, err
}

// copyRows copies the rows of a table, with their values sealed or opened.
func (m *migration) copyRows(ctx context.Context, r *remade, old string, in bool) error {
	w := &work{m: m, t: r.table, pairs: r.pairs, doing: opening, batch: firstBatch, old: old}
	if in {
		w.doing = sealing
	}
	for _, c := range r.lite.columns {
		if !slices.ContainsFunc(r.pairs, func(p *pair) bool { return strings.EqualFold(c, p.Source()) || strings.EqualFold(c, p.Stored) }) {
			w.others = append(w.others, dbcatalog.QuoteIdent(c))
		}
	}
	rows, err := m.q.Query(ctx, "SELECT count(*) FROM "+old)
	if err != nil {
		return err
	}
	w.total = rows[0].Int(0)
	if err := r.rows.Each(func() int { return w.batch }, func(after []driver.Value, _ int64, limit int) ([]dbcatalog.Row, error) {
		return m.q.Query(ctx, w.readLite(after != nil, limit), after...)
	}, func(rows []dbcatalog.Row) (bool, error) { return false, w.each(ctx, rows) }); err != nil {
		return err
	}
	if m.report.Unfit += w.unfit; w.done+w.unfit != w.total {
		return fmt.Errorf("%d of %d rows were copied", w.done, w.total)
	}
	return nil
}

// readLite selects rows: their keys, no version, their scope, and values.
func (w *work) readLite(after bool, limit int) string {
	var out, key, last []string
	for i, k := range w.t.rows.Keys {
		out = append(out, "+t."+k.SQL) // without the declared type, so that the driver converts nothing
		key = append(key, "t."+k.SQL)
		last = append(last, "?"+strconv.Itoa(i+1))
	}
	out = append(out, "NULL", w.m.scopeOf())
	for _, p := range w.pairs {
		if w.doing == sealing {
			out = append(out, "+t."+p.plain)
		} else {
			out = append(out, "+t."+p.cell)
		}
	}
	where, order := "", strings.Join(key, ", ")
	if after {
		where = " WHERE (" + order + ") > (" + strings.Join(last, ", ") + ")"
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + w.old + " AS t" + where + " ORDER BY " + order + " LIMIT " + strconv.Itoa(limit)
}

// writeLite copies rows.
func (w *work) writeLite(ctx context.Context, params [][]driver.Value) (int64, error) {
	var rows, into, from, same []string
	var args []driver.Value
	keys := len(w.t.rows.Keys)
	for _, p := range params {
		list := []string{}
		for i, v := range p {
			if i == keys {
				continue // the version
			}
			args = append(args, v)
			list = append(list, "?"+strconv.Itoa(len(args)))
		}
		rows = append(rows, "("+strings.Join(list, ", ")+")")
	}
	for i, k := range w.t.rows.Keys {
		same = append(same, fmt.Sprintf("o.%s = v.column%d", k.SQL, i+1))
		if !slices.ContainsFunc(w.others, func(c string) bool { return c == k.SQL }) { // it is the rowid
			into, from = append(into, k.SQL), append(from, "o."+k.SQL)
		}
	}
	for _, c := range w.others {
		into, from = append(into, c), append(from, "o."+c)
	}
	for i, p := range w.pairs {
		into, from = append(into, p.cell), append(from, fmt.Sprintf("v.column%d", keys+i+1))
		if w.doing == opening {
			into[len(into)-1] = p.plain
		}
	}
	beside := func(table string) string { // CROSS: the values come first
		return " FROM (VALUES " + strings.Join(rows, ", ") + ") AS v CROSS JOIN " + table + " AS o ON " + strings.Join(same, " AND ")
	}
	// ABORT, because a UNIQUE constraint may be declared to delete the other row instead.
	done, err := w.m.q.Exec(ctx, "INSERT OR ABORT INTO "+w.t.name+" ("+strings.Join(into, ", ")+") SELECT "+strings.Join(from, ", ")+beside(w.old), args...)
	if err != nil || w.doing == sealing {
		return done, err
	}
	altered, err := w.altered(ctx, beside(w.t.name), args)
	w.unfit += altered
	return done - altered, err
}

// altered counts the rows where the type of a plain column changed the opened value: '007' is 7 in
// a column that is declared STRING.
func (w *work) altered(ctx context.Context, from string, args []driver.Value) (n int64, err error) {
	var out, others []string
	plain := slices.DeleteFunc(slices.Clone(w.pairs), func(p *pair) bool { return p.Was != nil })
	if len(plain) == 0 {
		return 0, nil
	}
	for i, p := range w.pairs {
		if p.Was != nil {
			continue
		}
		value := fmt.Sprintf("v.column%d", len(w.t.rows.Keys)+i+1)
		out = append(out, value, "+o."+p.plain)
		others = append(others, fmt.Sprintf("typeof(o.%s) <> typeof(%s)", p.plain, value))
	}
	rows, err := w.m.q.Query(ctx, "SELECT "+strings.Join(out, ", ")+from+" WHERE "+strings.Join(others, " OR "), args...)
	for _, r := range rows {
		bad := false
		for i, p := range plain {
			opened, stored := r[2*i], r[2*i+1]
			if opened == nil {
				continue
			}
			was, err := codec.AppendValue(nil, p.Kind, codec.SuiteDeterministic, opened)
			is, serr := codec.AppendValue(nil, p.Kind, codec.SuiteDeterministic, stored)
			if err = errors.Join(err, serr); err != nil || !bytes.Equal(was, is) {
				bad = true
				w.m.db.Rejected(ctx, p.Column, errors.Join(codec.ErrValue, err))
			}
			clear(was)
			clear(is)
		}
		if bad {
			n++
		}
	}
	return n, err
}

// rewriteLite rewrites the files. Nothing of what was deleted before is left in them, nor in the
// write-ahead logs beside them.
func (m *migration) rewriteLite(ctx context.Context) error {
	for _, f := range m.files() {
		if _, err := m.q.Exec(ctx, "VACUUM "+dbcatalog.QuoteIdent(f)); err != nil {
			return err
		}
	}
	return m.emptyLog(ctx)
}

// emptyLog empties the write-ahead logs, which nobody may read meanwhile.
func (m *migration) emptyLog(ctx context.Context) error {
	for _, f := range m.files() {
		rows, err := m.q.Query(ctx, "PRAGMA "+dbcatalog.QuoteIdent(f)+".wal_checkpoint(TRUNCATE)")
		if err != nil {
			return err
		}
		if len(rows) > 0 && rows[0].Int(0) != 0 {
			return errLiteBusy
		}
	}
	return nil
}

// errLiteBusy is what walk takes for somebody else's being in the way.
var errLiteBusy = errors.New("database is locked")
