package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pgarray"
)

// write replaces the values of rows in one transaction, and returns which ones it did.
func (r *resealer) write(ctx context.Context, t *resealTable, cols []*resealCol, rows []*resealRow) (map[int]bool, error) {
	if r.c.st.cfg.Dialect == SQLite {
		return r.writeLite(ctx, t, cols, rows)
	}
	got, err := r.c.own().Query(ctx, t.text.swap(cols), arraysOf(rows)...)
	if err != nil {
		return nil, err
	}
	done := map[int]bool{}
	for _, row := range got {
		done[int(row.Int(0))-1] = true
	}
	return done, nil
}

// arraysOf returns the parameters of rows as array literals, which every driver can send.
func arraysOf(rows []*resealRow) []sqldriver.Value {
	var literals [][]byte
	for i, row := range rows {
		for j, v := range row.params() {
			if i == 0 {
				literals = append(literals, []byte{'{'})
			} else {
				literals[j] = append(literals[j], ',')
			}
			switch v := v.(type) {
			case nil:
				literals[j] = append(literals[j], "NULL"...)
			case []byte:
				literals[j] = append(hex.AppendEncode(append(literals[j], `"\\x`...), v), '"')
			case string:
				literals[j] = pgarray.AppendElement(literals[j], v)
			}
		}
	}
	out := make([]sqldriver.Value, len(literals))
	for j, l := range literals {
		out[j] = string(append(l, '}'))
	}
	return out
}

func (row *resealRow) params() []sqldriver.Value {
	p := append(slices.Clone(row.key), row.version)
	for i := range row.old {
		p = append(p, row.old[i], row.new[i])
	}
	return p
}

// writeLite begins a transaction that writes from its start: one that reads first may find that
// it cannot.
func (r *resealer) writeLite(ctx context.Context, t *resealTable, cols []*resealCol, rows []*resealRow) (map[int]bool, error) {
	if _, err := r.c.own().Exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	done := map[int]bool{}
	text := t.text.swap(cols)
	for i, row := range rows {
		n, err := r.c.own().Exec(ctx, text, row.params()...)
		if err != nil {
			_, rerr := r.c.own().Exec(context.WithoutCancel(ctx), "ROLLBACK")
			return nil, errors.Join(err, rerr)
		}
		done[i] = n > 0
	}
	if _, err := r.c.own().Exec(ctx, "COMMIT"); err != nil {
		_, _ = r.c.own().Exec(context.WithoutCancel(ctx), "ROLLBACK") // it may have ended by the failure
		return nil, err
	}
	return done, nil
}

// contended reports whether err means that somebody else was in the way, and no more.
func contended(err error) bool {
	switch dbcatalog.SQLState(err) {
	case "40001", // serialization_failure
		"40P01", // deadlock_detected
		"55P03": // lock_not_available
		return true
	}
	return mentionsLite(err, "SQLITE_BUSY", "database is locked")
}

func isUnique(err error) bool {
	return dbcatalog.SQLState(err) == "23505" || mentionsLite(err, "UNIQUE constraint failed")
}

func isForeign(err error) bool {
	return dbcatalog.SQLState(err) == "23503" || mentionsLite(err, "FOREIGN KEY constraint failed")
}

// mentionsLite goes by the text of an error: the drivers of SQLite have no common type.
func mentionsLite(err error, texts ...string) bool {
	if dbcatalog.SQLState(err) != "" {
		return false
	}
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(err.Error(), t) })
}
