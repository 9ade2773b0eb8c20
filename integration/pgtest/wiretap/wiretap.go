// Package wiretap looks where an eavesdropper on the database's side would look: in the server's
// log, in a dump of every table, and in its raw data files, write-ahead log included. It looks for
// canaries, values that only ever went into sealed columns, in every encoding they might have
// taken. Nothing may be found.
//
// A search that finds nothing proves something only if it would have found it. So every Search
// first plants controls of its own, one per place, and fails if it does not find them there.
//
// What it cannot see: PostgreSQL compresses long values (over 2 kB) in its data files, so such a
// value is found there only if it does not compress; the dump and the log show it in any case.
// Temporary tables of other sessions, and the contents of other databases than the one at hand, are
// seen in the data files only.
package wiretap

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Place is where something was found.
type Place string

// The places that a Search looks in.
const (
	Log   Place = "log"   // what the server wrote to its log
	Table Place = "table" // what COPY gives of each table, in text and in binary
	Data  Place = "data"  // the bytes of the files under the data directory, without the log
)

// Finding is one canary found in one encoding in one file or table. It never holds the canary's
// value.
type Finding struct {
	Canary   string // its name
	Encoding string // e.g. "base64, shifted by 1"
	Place    Place
	Where    string // the file's path or the table's name
	Offset   int64  // of the first occurrence, in bytes
	Count    int    // of occurrences
}

func (f Finding) String() string {
	return fmt.Sprintf("canary %s found as %s in %s %s at byte %d (%d times)", f.Canary, f.Encoding, f.Place, f.Where, f.Offset, f.Count)
}

// Coverage tells how much of one place was searched.
type Coverage struct {
	Items int   // files or tables
	Bytes int64 // a table counts in text and in binary
}

// Report is the outcome of a Search.
type Report struct {
	Findings []Finding
	Searched map[Place]Coverage
}

// In returns the findings in one place.
func (r *Report) In(p Place) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Place != p })
}

// ErrDeaf means that a Search did not find what it had planted itself, so that its silence would
// mean nothing.
var ErrDeaf = errors.New("the wiretap is deaf")

// Search looks for the canaries. db is a superuser's pool on the database that was written to, over
// plain pgx. The server must have its logging collector on, and log every statement on this
// database with its parameters (pgtest.Logged sees to both).
func Search(ctx context.Context, db *sql.DB, canaries ...Canary) (*Report, error) {
	if len(canaries) == 0 {
		return nil, errors.New("wiretap: no canary to look for")
	}
	var faults []error
	for _, c := range canaries {
		faults = append(faults, c.fault)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("wiretap: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("wiretap: %w", err)
	}
	defer conn.Close()
	planted, remove, err := plant(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("wiretap: planting the controls: %w", err)
	}
	defer remove()

	s := newSearch(append(slices.Clone(canaries), planted.all()...))
	for _, look := range []func(context.Context, *sql.Conn, *search, controls) error{searchLog, searchTables, searchData} {
		if err := look(ctx, conn, s, planted); err != nil {
			return nil, fmt.Errorf("wiretap: %w", err)
		}
	}
	report := s.report()
	if err := planted.heard(report.Findings); err != nil {
		return nil, err
	}
	report.Findings = slices.DeleteFunc(report.Findings, func(f Finding) bool { return strings.HasPrefix(f.Canary, controlPrefix) })
	return report, nil
}

// Check fails the test for everything a Search finds, and logs how much it searched.
func Check(tb testing.TB, db *sql.DB, canaries ...Canary) {
	tb.Helper()
	report, err := Search(tb.Context(), db, canaries...)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range report.Findings {
		tb.Error(f)
	}
	for _, p := range []Place{Log, Table, Data} {
		c := report.Searched[p]
		tb.Logf("wiretap: %d canaries, %s: %d searched, %d bytes", len(canaries), p, c.Items, c.Bytes)
	}
}
