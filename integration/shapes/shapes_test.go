package shapes

import (
	"bytes"
	"slices"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
)

// A want is what must become of a shape.
type want uint8

const (
	works want = iota
	refused
)

// A shape is one statement. The zero want is works: the same rows, values and tables as
// on the plaintext twin, and the same error if the twin has one.
type shape struct {
	name string
	sql  string
	args []any
	want want
	// open: the statement itself puts a canary into a plain place.
	open bool
	// direct: it is executed, not queried.
	direct bool
	// since is the first server version that knows the statement.
	since int
}

func args(a ...any) []any { return a }

// Values that are canaries.
const (
	a, b, x, s1 = "zqcanary-a", "zqcanary-b", "zqcanary-new", "zqcanary-s1"
)

func TestShapes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for _, f := range fronts {
			for storage, typ := range storages {
				t.Run(string(f)+"/"+storage, func(t *testing.T) {
					p := newPair(t, db, f, typ)
					for _, s := range slices.Concat(allShapes(), rowTypes, programs) {
						if db.Version >= s.since {
							t.Run(s.name, func(t *testing.T) { p.check(t, s) })
						}
					}
				})
				exec(t, db.Admin, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA other, cron CASCADE")
			}
		}
	})
}

// check holds one shape on both sides.
func (p *pair) check(t *testing.T, s shape) {
	t.Helper()
	sealed := p.sealed.run(s.sql, p.in(s.args), s.how())
	if p.leaks(sealed.sent) && !s.open {
		t.Errorf("%s\nsends plaintext of a sealed column (%v)", s.sql, sealed.err)
	}
	if s.want == refused {
		if sealed.code != "REFUSED" {
			t.Errorf("%s\nis not refused: %v", s.sql, sealed.err)
		}
		if bytes.Contains(sealed.sent, []byte(p.text.Replace(s.sql))) {
			t.Errorf("%s\nwas refused after it was sent", s.sql)
		}
		return
	}
	if d := differ(sealed, p.twin.run(s.sql, p.in(s.args), s.how())); d != "" {
		t.Errorf("%s\n%s", s.sql, d)
	}
}

func (s shape) how() how {
	if s.direct {
		return executed
	}
	return queried
}

func allShapes() []shape {
	var all []shape
	for _, group := range [][]shape{inserts, upserts, updates, predicates, reads, grouping, literals, rolesOfParameters, definitions, sessions, dependents} {
		all = append(all, group...)
	}
	return all
}

// What the server has in its log, its tables and its files is a witness that is independent of the tap.
func TestWiretap(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for _, f := range fronts {
			p := newPair(t, db, f, "bytea")
			for _, s := range slices.Concat(allShapes(), rowTypes, programs) {
				if !s.open && db.Version >= s.since {
					p.sealed.run(s.sql, p.in(s.args), s.how())
				}
			}
			wiretap.Check(t, db.Admin, p.wanted()...)
			exec(t, db.Admin, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA other, cron CASCADE")
		}
	}, pgtest.Logged())
}
