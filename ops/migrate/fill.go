package migrate

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/internal/walk"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

const (
	firstBatch = 200
	maxBatch   = 2000
	minBatch   = 5

	passPause  = 200 * time.Millisecond // between passes, so that those who hold rows finish
	idlePasses = 25                     // after so many that did nothing, it is asked why
	copyPasses = 5                      // while programs without Colseal write, there is always more
	lagPause   = time.Second

	vacuumRows  = 20_000 // after so many rows at least,
	vacuumParts = 5      // and a fifth of the table, what was there before is cleared away
)

// work is what is done with the rows of a table.
type work struct {
	m     *migration
	t     *table
	pairs []*pair
	doing string

	batch      int
	done       int64
	total      int64
	unfit      int64
	seen       int64
	sinceClean int64
	lastLag    time.Time
	lag        time.Duration
	positions  []position // that the replica had not replayed when it was asked last

	trying bool // nothing is written: which values does another kind not hold?

	// On SQLite, the table that rows are copied from, and the columns that are copied as they are.
	old    string
	others []string
}

// Kinds of work.
const (
	sealing  = "sealing"
	opening  = "opening"
	clearing = "clearing"
)

// due returns what a row meets for which there is something to do with a pair.
func (w *work) due(p *pair) string {
	switch {
	case w.trying && w.doing == sealing && p.cellCol == nil:
		return "t." + p.plain + " IS NOT NULL"
	case w.trying && w.doing == opening && p.plainCol == nil:
		return "t." + p.cell + " IS NOT NULL"
	}
	switch w.doing {
	case sealing:
		return "t." + p.plain + " IS NOT NULL AND t." + p.cell + " IS NULL"
	case opening:
		return "t." + p.cell + " IS NOT NULL AND t." + p.plain + " IS NULL"
	default:
		return "t." + p.plain + " IS NOT NULL"
	}
}

// work does something with the rows of a table, in passes, until nothing is left. passes bounds
// them; 0 for no bound.
func (m *migration) work(ctx context.Context, t *table, pairs []*pair, doing string, passes int) error {
	w := &work{m: m, t: t, pairs: pairs, doing: doing, batch: firstBatch, trying: m.opts.DryRun}
	idle := 0 // passes in which nothing was done
	for pass := 1; ; pass++ {
		rows, err := m.q.Query(ctx, "SELECT pg_catalog.count(*)::pg_catalog.text FROM "+t.name+" AS t WHERE "+w.anyDue())
		if err != nil {
			return err
		}
		if w.total, w.done, w.unfit, w.seen = rows[0].Int(0), 0, 0, 0; w.total == 0 {
			break
		}
		if err := t.rows.Each(func() int { return w.batch }, func(after []driver.Value, before int64, limit int) ([]dbcatalog.Row, error) {
			return m.q.Query(ctx, w.read(after != nil, before, limit), after...)
		}, func(rows []dbcatalog.Row) (bool, error) { return false, w.each(ctx, rows) }); err != nil {
			return err
		}
		if w.seen == w.unfit || passes > 0 && pass >= passes {
			break
		}
		if idle++; w.done > 0 {
			idle = 0
		}
		if err := w.kept(ctx, idle); err != nil {
			return err
		}
		if err := walk.Pause(ctx, passPause); err != nil {
			return err
		}
	}
	m.report.Unfit += w.unfit
	if err := w.clean(ctx, 1); err != nil || w.unfit == 0 || m.opts.For == ReadyCopy || w.trying {
		return err
	}
	return ErrUnfit // the steps that follow would take the column away that has the value
}

// errKept is for rows that nobody holds, and that stay as they are.
var errKept = errors.New("rows stay as they are when they are written: a trigger or a rule of the table keeps them from it; disable it, or write the rows as it wants them")

// kept finds out, when passes did nothing, whether that will not change.
func (w *work) kept(ctx context.Context, idle int) error {
	if w.m.onLite() || idle == 0 || idle%idlePasses != 0 && !w.m.locked {
		return nil
	}
	rows, err := w.m.q.Query(ctx, "SELECT pg_catalog.count(*)::pg_catalog.text FROM (SELECT FROM "+w.t.name+" AS t WHERE "+w.anyDue()+" LIMIT 1 FOR UPDATE SKIP LOCKED) AS x")
	switch {
	case err != nil && walk.ObstacleOf(err) != walk.Contention:
		return err
	case err == nil && rows[0].Int(0) > 0:
		return errKept
	}
	w.m.notice("waiting for rows of %s, which others hold", w.t.label)
	return nil
}

func (w *work) anyDue() string {
	or := make([]string, len(w.pairs))
	for i, p := range w.pairs {
		or[i] = "(" + w.due(p) + ")"
	}
	return "(" + strings.Join(or, " OR ") + ")"
}

// read selects the rows with something to do: their keys, version, scope, and values.
func (w *work) read(after bool, before int64, limit int) string {
	var out, key, last []string
	for i, k := range w.t.rows.Keys {
		out = append(out, "CAST(t."+k.SQL+" AS pg_catalog.text)")
		key = append(key, "t."+k.SQL)
		last = append(last, fmt.Sprintf("CAST(CAST($%d AS pg_catalog.text) AS %s)", i+1, k.Type))
	}
	out = append(out, w.version("t"), w.m.scopeOf())
	for _, p := range w.pairs {
		value := "t." + p.cell
		switch {
		case w.doing == clearing:
			continue
		case w.doing == sealing && p.plainCol != nil && p.plainCol.Type == "bytea":
			value = "t." + p.plain
		case w.doing == sealing:
			value = "CAST(t." + p.plain + " AS pg_catalog.text)"
		}
		out = append(out, "CASE WHEN "+w.due(p)+" THEN "+value+" END")
	}
	where, order := w.anyDue(), strings.Join(key, ", ")
	if after {
		where += " AND (" + order + ") > (" + strings.Join(last, ", ") + ")"
	}
	if before > 0 {
		where += fmt.Sprintf(" AND t.ctid < '(%d,0)'::pg_catalog.tid", before)
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + w.t.name + " AS t WHERE " + where + " ORDER BY " + order + " LIMIT " + strconv.Itoa(limit)
}

// each works on some rows.
func (w *work) each(ctx context.Context, rows []dbcatalog.Row) error {
	n := len(w.t.rows.Keys)
	if w.trying {
		return w.try(ctx, rows, n+2)
	}
	var params [][]driver.Value
	var sealed telemetry.Cells
	values := int64(0)
	for _, r := range rows {
		w.seen++
		row := append([]driver.Value{}, r[:n+1]...) // key, version
		fits, bad := w.doing == clearing, false
		for i, p := range w.pairs {
			if w.doing == clearing {
				continue
			}
			v, err := w.value(ctx, p, r[n+2+i], r.Text(n+1))
			if err != nil && !ofOneValue(err) {
				return err
			}
			if err != nil {
				bad = true
				w.m.db.Rejected(ctx, p.Column, err)
			}
			if v != nil {
				fits = true
				values++
				sealed.Add(p.Suite())
			}
			row = append(row, v)
		}
		if bad && (!fits || w.m.onLite()) {
			w.unfit++
			continue
		}
		params = append(params, row)
	}
	if len(params) > 0 {
		began := time.Now()
		done, err := w.writeFit(ctx, params)
		if err != nil && walk.ObstacleOf(err) != walk.Contention {
			return err
		}
		if err := w.pace(ctx, time.Since(began)); err != nil {
			return err
		}
		w.done, w.sinceClean = w.done+done, w.sinceClean+done
		switch w.doing {
		case sealing:
			w.m.report.Sealed += values * done / int64(len(params))
			w.m.db.Counts.Sealed(sealed)
		case opening:
			w.m.report.Opened += values * done / int64(len(params))
		default:
			w.m.report.Cleared += done
		}
	}
	if w.m.opts.Progress != nil {
		w.m.opts.Progress(Progress{Table: w.t.label, Doing: w.doing, Done: w.done, Total: w.total, Lag: w.lag})
	}
	if w.sinceClean >= max(vacuumRows, w.total/vacuumParts) {
		return w.clean(ctx, 0)
	}
	return nil
}

// holds returns an error if the cells of a column do not hold a value: it is beyond the bounds, or
// has too many terms. No key that seals a cell is needed to tell.
func holds(col *schema.Column, encoding []byte) error {
	var dataKey [32]byte // of no column
	key, err := codec.NewKey(dataKey[:], 0, col.Suite(), col.Identity())
	if err == nil {
		_, err = key.Seal(nil, col.Kind, encoding)
	}
	return err
}

// try counts the rows with values that a column of another kind does not hold.
func (w *work) try(ctx context.Context, rows []dbcatalog.Row, first int) error {
	for _, r := range rows {
		w.seen++
		bad := false
		for i, p := range w.pairs {
			from, to := p.Was, p.Column
			if w.doing == opening {
				from, to = to, from
			}
			if r[first+i] == nil {
				continue
			}
			_, converted, err := w.m.converted(ctx, from, to, r[first+i])
			if err == nil {
				err = holds(to, converted)
			}
			clear(converted)
			if err != nil && !ofOneValue(err) {
				return err
			}
			if err != nil {
				bad = true
				w.m.db.Rejected(ctx, p.Column, err)
			}
		}
		if bad {
			w.unfit++
		}
	}
	w.batch = maxBatch
	return nil
}

// value returns what is written for a value that was read; nil for NULL.
func (w *work) value(ctx context.Context, p *pair, v driver.Value, scope string) (driver.Value, error) {
	if v == nil {
		return nil, nil
	}
	switch {
	case p.Was != nil && w.doing == sealing:
		return w.m.again(ctx, p.Was, p.Column, v, false)
	case p.Was != nil:
		return w.m.again(ctx, p.Column, p.Was, v, p.plainCol.Type != "bytea")
	case w.doing == sealing:
		return w.m.seal(w.m.scoped(ctx, scope), p, v)
	}
	return w.m.open(ctx, p, v)
}

// seal returns the cell of a plain value.
func (m *migration) seal(ctx context.Context, p *pair, v driver.Value) (driver.Value, error) {
	if m.onLite() {
		var err error
		if v, err = liteValue(p.Kind, v); err != nil {
			return nil, err
		}
	}
	encoding, err := codec.AppendValue(nil, p.Kind, p.Suite(), v)
	if err != nil {
		return nil, err
	}
	defer clear(encoding)
	cell, err := m.cell(ctx, p.Column, encoding)
	if err != nil {
		return nil, err
	}
	return cell, nil
}

// cell returns the cell of an encoding.
func (m *migration) cell(ctx context.Context, col *schema.Column, encoding []byte) ([]byte, error) {
	key, err := m.sealer(ctx, col, 1)
	if err != nil {
		return nil, err
	}
	return key.Seal(nil, col.Kind, encoding)
}

// sealer returns the key that seals values of a column now, n of them.
func (m *migration) sealer(ctx context.Context, col *schema.Column, n int) (*codec.Key, error) {
	if m.held != nil {
		if key := m.held[heldKey{identity: col.Identity(), suite: col.Suite(), scope: keyring.ScopeOf(ctx)}]; key != nil {
			return key, nil
		}
		return nil, errMoved
	}
	if !col.Suite().Searchable() {
		return m.cache.Sealer(ctx, front.KeyColumn(col), n)
	}
	keys, err := m.cache.SearchKeys(ctx, front.KeyColumn(col))
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// opener returns the key that opens a cell.
func (m *migration) opener(ctx context.Context, col *schema.Column, h codec.Header) (*codec.Key, error) {
	if m.held != nil {
		key, known := m.held[heldKey{identity: col.Identity(), suite: h.Suite, id: h.KeyID}]
		switch {
		case !known:
			return nil, errMoved
		case key == nil:
			return nil, keyring.ErrKeyNotFound
		}
		return key, nil
	}
	return m.fetched(ctx, col, h)
}

// fetched returns the key that opens a cell, from the cache. Whoever may insert into the keyring
// can forge a cell under a row that is no key: such a cell does not open.
func (m *migration) fetched(ctx context.Context, col *schema.Column, h codec.Header) (*codec.Key, error) {
	key, err := m.cache.Opener(ctx, front.OpeningColumn(col, h), h.KeyID)
	if errors.Is(err, keyring.ErrKeyInvalid) {
		err = errors.Join(codec.ErrAuth, err)
	}
	return key, err
}

// again returns the cell of another column for the value of a cell, in its scope.
func (m *migration) again(ctx context.Context, from, to *schema.Column, v driver.Value, text bool) (driver.Value, error) {
	id, converted, err := m.converted(ctx, from, to, v)
	if err != nil {
		return nil, err
	}
	defer clear(converted)
	scope, err := m.scopeOfKey(ctx, id)
	if err != nil {
		return nil, err
	}
	cell, err := m.cell(keyring.WithScope(ctx, scope), to, converted)
	switch {
	case err != nil:
		return nil, err
	case text:
		return codec.EncodeText(cell), nil
	}
	return cell, nil
}

// scopeOfKey returns the scope of a key.
func (m *migration) scopeOfKey(ctx context.Context, id uint32) (string, error) {
	scope, ok := m.scopes[id]
	if ok {
		return scope, nil
	}
	keys, err := m.store.Keys(ctx, []uint32{id})
	switch {
	case err != nil:
		return "", err
	case len(keys) == 0:
		return "", keyring.ErrKeyNotFound
	}
	m.scopes[id] = keys[0].Scope
	return keys[0].Scope, nil
}

// converted returns the encoding for another column of the value in a cell, and the id of its key.
// A value that another kind would make another one of, as it makes 7 of the text 007, is none of
// that kind: it could not be had back.
func (m *migration) converted(ctx context.Context, from, to *schema.Column, v driver.Value) (id uint32, out []byte, err error) {
	id, encoding, err := m.encoding(ctx, from, v)
	if err != nil {
		return 0, nil, err
	}
	defer clear(encoding)
	if out, err = (codec.Session{}).AppendConverted(nil, to.Kind, to.Suite(), from.Kind, encoding); err != nil || to.Kind == from.Kind {
		return id, out, err
	}
	back, err := codec.Session{}.AppendConverted(nil, from.Kind, from.Suite(), to.Kind, out)
	defer clear(back)
	if err == nil && !bytes.Equal(back, encoding) {
		err = codec.ErrValue
	}
	if err != nil {
		clear(out)
		return 0, nil, err
	}
	return id, out, nil
}

// encoding returns the encoding of the value in a cell, and the id of its key.
func (m *migration) encoding(ctx context.Context, col *schema.Column, v driver.Value) (id uint32, encoding []byte, err error) {
	cell, _, err := front.StoredCell(v, false, col.Tag())
	if err != nil {
		return 0, nil, err
	}
	h, err := codec.Recognize(cell, col.Tag())
	if err != nil {
		return 0, nil, err
	}
	key, err := m.opener(ctx, col, h)
	if err != nil {
		return 0, nil, err
	}
	encoding, err = key.Open(nil, col.Kind, cell)
	return h.KeyID, encoding, err
}

// open returns the value in a cell, on PostgreSQL as text that it reads.
func (m *migration) open(ctx context.Context, p *pair, v driver.Value) (driver.Value, error) {
	_, encoding, err := m.encoding(ctx, p.Column, v)
	if err != nil {
		return nil, err
	}
	if m.onLite() {
		return litePlain(p.Kind, encoding)
	}
	switch {
	case p.Kind == codec.KindBytes:
		return encoding, nil
	case p.Kind == codec.KindJSON && p.plainCol.Type == "jsonb" && !jsonbHolds(encoding):
		return nil, codec.ErrValue // the server would log a part of the document
	}
	text, err := codec.Session{}.AppendConverted(nil, codec.KindText, codec.SuiteRandomized, p.Kind, encoding)
	if err != nil {
		return nil, err
	}
	return string(text), nil
}

// jsonbHolds reports whether the server's jsonb holds all characters that a JSON document escapes:
// not U+0000, nor half of a surrogate pair.
func jsonbHolds(doc []byte) bool {
	escaped := func(doc []byte) (rune, bool) {
		if len(doc) < 6 || doc[0] != '\\' || doc[1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(doc[2:6]), 16, 16)
		return rune(n), err == nil
	}
	for i := bytes.IndexByte(doc, '\\'); i >= 0; i = bytes.IndexByte(doc, '\\') {
		doc = doc[i:]
		r, ok := escaped(doc)
		switch {
		case !ok:
			doc = doc[min(2, len(doc)):]
			continue
		case r == 0:
			return false
		case utf16.IsSurrogate(r):
			if low, _ := escaped(doc[6:]); utf16.DecodeRune(r, low) == utf8.RuneError {
				return false
			}
			doc = doc[6:]
		}
		doc = doc[6:]
	}
	return true
}

// ofOneValue reports whether an error is about one value, so that work on the others can go on.
func ofOneValue(err error) bool {
	for _, e := range []error{codec.ErrAuth, codec.ErrFormat, codec.ErrNotSealed, codec.ErrColumnMismatch, codec.ErrKind, codec.ErrValue, keyring.ErrKeyNotFound, keyring.ErrKeyDestroyed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// writeFit writes rows, and leaves out values that the types of the plain columns do not hold. The
// server's error would quote them.
func (w *work) writeFit(ctx context.Context, params [][]driver.Value) (int64, error) {
	if w.doing != opening || w.m.onLite() {
		return w.write(ctx, params)
	}
	done, err := w.writeWhole(ctx, params)
	if !misfit(err) {
		return done, err
	}
	if n := len(params); n > 1 {
		done, err := w.writeFit(ctx, params[:n/2])
		if err != nil {
			return done, err
		}
		more, err := w.writeFit(ctx, params[n/2:])
		return done + more, err
	}
	first := len(params[0]) - len(w.pairs)
	for i, p := range w.pairs {
		one := append([]driver.Value{}, params[0]...)
		clear(one[first:])
		if one[first+i] = params[0][first+i]; one[first+i] == nil {
			continue
		}
		done, err := w.writeWhole(ctx, [][]driver.Value{one})
		if !misfit(err) {
			return done, err // the next pass finds the rest of the row
		}
		w.m.db.Rejected(ctx, p.Column, codec.ErrValue)
	}
	w.unfit++
	return 0, nil
}

// misfit reports whether the server refused a value for its column's type (class 22, data
// exception).
func misfit(err error) bool { return strings.HasPrefix(dbcatalog.SQLState(err), "22") }

// writeWhole writes rows so that the transaction goes on if they cannot be written.
func (w *work) writeWhole(ctx context.Context, params [][]driver.Value) (int64, error) {
	if !w.m.locked {
		return w.write(ctx, params)
	}
	if _, err := w.m.q.Exec(ctx, "SAVEPOINT colseal"); err != nil {
		return 0, err
	}
	done, err := w.write(ctx, params)
	end := "RELEASE SAVEPOINT colseal"
	if err != nil {
		end = "ROLLBACK TO SAVEPOINT colseal"
	}
	_, eerr := w.m.q.Exec(ctx, end)
	return done, errors.Join(err, eerr)
}

// write changes the rows that nobody else holds and that are as they were read. So it neither waits
// for anybody nor takes part in a deadlock.
func (w *work) write(ctx context.Context, params [][]driver.Value) (int64, error) {
	if w.m.onLite() {
		return w.writeLite(ctx, params)
	}
	var arrays, names, values, set []string
	array := func(name, typ, value string) {
		arrays = append(arrays, fmt.Sprintf("pg_catalog.unnest(CAST(CAST($%d AS pg_catalog.text) AS %s[]))", len(arrays)+1, typ))
		names = append(names, name)
		values = append(values, value)
	}
	for i, k := range w.t.rows.Keys {
		name := fmt.Sprintf("k%d", i)
		array(name, "pg_catalog.text", fmt.Sprintf("CAST(u.%s AS %s) AS %s", name, k.Type, name))
	}
	array("x", "pg_catalog.text", "u.x")
	lock := "NO KEY UPDATE"
	for i, p := range w.pairs {
		name := fmt.Sprintf("n%d", i)
		switch w.doing {
		case sealing:
			array(name, "pg_catalog.bytea", "u."+name)
			set = append(set, fmt.Sprintf("%[1]s = COALESCE(v.%[2]s, t.%[1]s)", p.cell, name))
		case opening:
			typ := "pg_catalog.text"
			if p.plainCol.Type == "bytea" {
				typ = "pg_catalog.bytea"
			}
			array(name, typ, "u."+name)
			set = append(set, fmt.Sprintf("%[1]s = COALESCE(%[2]s, t.%[1]s), %[3]s = t.%[3]s", p.plain, asItIs("v."+name, p.plainCol.Type), p.cell)) // a write of both
		default:
			set = append(set, p.plain+" = NULL")
		}
		if p.EqualCells() || p.Was != nil && p.Was.EqualCells() {
			lock = "UPDATE" // it may be in a key
		}
	}
	text := "UPDATE " + w.t.name + " AS t SET " + strings.Join(set, ", ") +
		" FROM (SELECT w.* FROM (SELECT " + strings.Join(values, ", ") + " FROM ROWS FROM (" + strings.Join(arrays, ", ") + ") AS u(" + strings.Join(names, ", ") + ")) AS w" +
		" JOIN " + w.t.name + " AS s ON " + w.same("s", "w") + " FOR " + lock + " OF s SKIP LOCKED) AS v WHERE " + w.same("t", "v")
	return w.m.q.Exec(ctx, text, walk.Arrays(params)...)
}

// same is that a row of the table is the one that was read, unchanged.
func (w *work) same(row, was string) string {
	var and []string
	for i, k := range w.t.rows.Keys {
		and = append(and, fmt.Sprintf("%s.%s = %s.k%d", row, k.SQL, was, i))
	}
	return strings.Join(append(and, w.version(row)+" = "+was+".x"), " AND ")
}

// version is an expression that differs once a row was changed. Where rows are known by their
// places, it also does once the table was rewritten (VACUUM FULL, CLUSTER): another row of the same
// transaction may have the place then.
func (w *work) version(row string) string {
	if w.t.rows.Pages == 0 {
		return "CAST(" + row + ".xmin AS pg_catalog.text)"
	}
	return "pg_catalog.concat(" + row + ".xmin, ' ', pg_catalog.pg_relation_filenode(" + row + ".tableoid))"
}

// asItIs is an expression for the value of a text in a column's type. What numeric(10,2) would
// round and varchar(5) cut in silence is an error, as of a text that is none of the type. The
// server logs its errors, so none of them shows the value.
func asItIs(text, typ string) string {
	base := withoutModifiers(typ)
	value := "CAST(" + text + " AS " + base + ")"
	switch base {
	case "integer", "smallint":
		value = "CAST(CAST(" + text + " AS pg_catalog.int8) AS " + base + ")"
	case "integer[]", "smallint[]":
		value = "CAST(CAST(" + text + " AS pg_catalog.int8[]) AS " + base + ")"
	}
	if base == typ {
		return value
	}
	misfit := "CAST(CAST(CAST(pg_catalog.concat(pg_catalog.substr(" + text + ", 1, 0), 'a value that does not fit') AS pg_catalog.int4) AS pg_catalog.text) AS " + base + ")" // always
	return "CASE WHEN CAST(" + value + " AS " + typ + ") OPERATOR(pg_catalog.<>) " + value + " THEN " + misfit + " ELSE " + value + " END"
}

// pace makes batches last as long as they may, and gives the programs as much time as a batch took.
func (w *work) pace(ctx context.Context, took time.Duration) error {
	if w.m.onLite() {
		return nil // nobody waits
	}
	limit := w.m.opts.MaxBatch
	if w.m.locked {
		limit = 0
	}
	switch {
	case limit <= 0:
		w.batch = min(2*w.batch, maxBatch)
	case took > limit:
		w.batch = max(w.batch/2, minBatch)
	case took < limit/2:
		w.batch = min(w.batch+w.batch/4+1, maxBatch)
	}
	if limit > 0 {
		if err := walk.Pause(ctx, took); err != nil {
			return err
		}
	}
	return w.waitForReplicas(ctx)
}

const (
	lagQuery      = `SELECT COALESCE(pg_catalog.max(pg_catalog.extract('epoch', r.replay_lag)), 0)::pg_catalog.text, pg_catalog.pg_current_wal_lsn()::pg_catalog.text FROM pg_catalog.pg_stat_replication r`
	replayedQuery = `SELECT pg_catalog.pg_last_wal_replay_lsn() OPERATOR(pg_catalog.>=) $1::pg_catalog.pg_lsn`
)

// waitForReplicas waits while a replica is too far behind. It asks once a second.
func (w *work) waitForReplicas(ctx context.Context) error {
	limit := w.m.opts.MaxLag
	for limit > 0 && time.Since(w.lastLag) >= lagPause {
		rows, err := w.m.q.Query(ctx, lagQuery)
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(rows[0].Text(0), 64)
		if err != nil {
			return err
		}
		w.lastLag, w.lag = time.Now(), time.Duration(seconds*float64(time.Second))
		if w.m.opts.Replica != nil {
			behind, err := w.behind(ctx, rows[0].Text(1))
			if err != nil {
				return err
			}
			w.lag = max(w.lag, behind)
		}
		if w.lag <= limit {
			return nil
		}
		w.m.notice("waiting for a replica, which is %s behind", w.lag.Round(time.Millisecond))
		if err := walk.Pause(ctx, lagPause); err != nil {
			return err
		}
	}
	return nil
}

// position is where the server was at a time.
type position struct {
	at  time.Time
	lsn string
}

// behind asks the replica for the oldest position that it has not replayed yet, and returns its
// age.
func (w *work) behind(ctx context.Context, lsn string) (time.Duration, error) {
	w.positions = append(w.positions, position{time.Now(), lsn})
	for len(w.positions) > 0 {
		var replayed sql.NullBool
		switch err := w.m.opts.Replica.QueryRowContext(ctx, replayedQuery, w.positions[0].lsn).Scan(&replayed); {
		case err != nil:
			return 0, fmt.Errorf("the replica does not answer: %w", err)
		case !replayed.Valid:
			return 0, errors.New("the replica is none: it replays nothing")
		case !replayed.Bool:
			return time.Since(w.positions[0].at), nil
		}
		w.positions = w.positions[1:]
	}
	return 0, nil
}

// clean makes the room of rows that were replaced free, if there were at least so many.
func (w *work) clean(ctx context.Context, atLeast int64) error {
	if w.sinceClean < atLeast || w.m.locked {
		return nil
	}
	w.sinceClean = 0
	_, err := w.m.q.Exec(ctx, "VACUUM (SKIP_LOCKED, TRUNCATE false) "+w.t.name)
	return err
}
