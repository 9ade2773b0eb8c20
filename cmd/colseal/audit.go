package main

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/dbcheck"
)

func newAudit() *cobra.Command {
	a := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Find what in a PostgreSQL database works around or against the sealed columns",
		Long:  "Find what in a PostgreSQL database works around or against the sealed columns.\n" + acceptHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.run(cmd, dbcheck.Run) },
	}
	a.add(cmd)
	return cmd
}

func newDoctor() *cobra.Command {
	a := &auditFlags{}
	k := &keysFlags{}
	var o dbcheck.Options
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what audit finds, and what is wrong with a running system",
		Long: "Find what audit finds, and what is wrong with a running system: its keys and its key service, grants, the search path,\n" +
			"a pooler, logs, clocks, indexes. What it could not look at is a finding, too. It changes nothing.\n\n" +
			"Give it the DSN and the credentials of the programs: it sees what they may do. Of the key service it asks one key, and to\n" +
			"unwrap one under each key encryption key; it wipes them at once.\n\n" + acceptHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.KMS, err = k.openKMS(cmd.Context(), kmsLooked); err != nil {
				return err
			}
			return a.run(cmd, func(ctx context.Context, db *sql.DB) ([]dbcheck.Finding, error) { return dbcheck.System(ctx, db, o) })
		},
	}
	a.add(cmd)
	k.kmsFlag(cmd, "the key encryption key of the programs")
	cmd.Flags().StringVar(&a.keyringID, "keyring-id", "", "the id that the keyring has to have (default: any)")
	cmd.Flags().DurationVar(&o.SearchKeysFor, "search-keys-for", 7*24*time.Hour, "how long two search keys of a scope may be live")
	cmd.Flags().DurationVar(&o.MaxSkew, "max-skew", time.Minute, "how far the clocks of the database and of this machine may be apart")
	cmd.Flags().IntVar(&o.BusyRows, "busy-rows", 10000, "how many rows a table has before its indexes are looked at")
	return cmd
}

// auditFlags is what audit and doctor are told.
type auditFlags struct {
	src                              source
	dsn, keyTable, keyringID, accept string
	json                             bool
}

const acceptHelp = "Each line of the file that --accept names accepts one finding until the end of a day, for a reason:\n" +
	"  RULE; TABLE.COLUMN (OBJECT); YYYY-MM-DD; REASON\n" +
	"with the first two as they are printed. Empty lines and lines that begin with # are left out."

func (a *auditFlags) add(cmd *cobra.Command) {
	a.src.flags(cmd)
	cmd.Flags().StringVar(&a.dsn, "dsn", "", "PostgreSQL database (default: the environment's "+dsnEnv+")")
	cmd.Flags().StringVar(&a.keyTable, "key-table", driver.DefaultKeyTable, "the keyring table, as in driver.Config")
	cmd.Flags().StringVar(&a.accept, "accept", "", "`file` of findings that are accepted")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
}

// run looks at the database and prints what was found.
func (a *auditFlags) run(cmd *cobra.Command, look func(context.Context, *sql.DB) ([]dbcheck.Finding, error)) error {
	dsn := cmp.Or(a.dsn, os.Getenv(dsnEnv))
	if dsn == "" {
		return errors.New("no database: give --dsn, or set " + dsnEnv)
	}
	accepted, err := readAcceptances(a.accept)
	if err != nil {
		return err
	}
	s, err := a.src.load(cmd.Context())
	if err != nil {
		return err
	}
	db, err := openDB(dsn, driver.Config{Schema: s, KeyTable: a.keyTable, KeyringID: a.keyringID})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written
	found, err := look(cmd.Context(), db)
	if err != nil {
		return err
	}
	r := accepted.apply(found, time.Now())
	if a.json {
		return r.printJSON(cmd.OutOrStdout())
	}
	return r.print(cmd.OutOrStdout())
}

// An acceptance is a finding that is known and accepted for a time.
type acceptance struct {
	Rule   string `json:"-"`
	Where  string `json:"-"`
	Until  string `json:"until"` // the last day
	Reason string `json:"reason"`
	line   int
	last   time.Time // the first moment at which it is accepted no more
}

type acceptances []acceptance

// readAcceptances reads a file of acceptances; none if path is "".
func readAcceptances(path string) (acceptances, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	a, err := parseAcceptances(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

func parseAcceptances(r io.Reader) (acceptances, error) {
	var all acceptances
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		parts := strings.SplitN(text, ";", 4)
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		if len(parts) != 4 || parts[0] == "" || parts[3] == "" {
			return nil, fmt.Errorf("line %d: write RULE; TABLE.COLUMN (OBJECT); YYYY-MM-DD; REASON", n)
		}
		day, err := time.ParseInLocation(time.DateOnly, parts[2], time.Local)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is no day such as 2027-03-01", n, parts[2])
		}
		all = append(all, acceptance{Rule: parts[0], Where: parts[1], Until: parts[2], Reason: parts[3], line: n, last: day.AddDate(0, 0, 1)})
	}
	return all, lines.Err()
}

// A judged finding is one that may be accepted.
type judged struct {
	dbcheck.Finding
	accepted *acceptance // nil: it is not, or not any more
	expired  *acceptance // what accepted it until a day that has passed
}

// auditResult is what an audit prints.
type auditResult struct {
	findings []judged
	unused   acceptances // of findings that are gone
}

func (a acceptances) apply(found []dbcheck.Finding, now time.Time) auditResult {
	var r auditResult
	used := make([]bool, len(a))
	for _, f := range found {
		j := judged{Finding: f}
		for i := range a {
			if a[i].Rule != f.Rule || a[i].Where != f.Where() {
				continue
			}
			used[i] = true
			if now.Before(a[i].last) {
				j.accepted = &a[i]
			} else {
				j.expired = &a[i]
			}
		}
		r.findings = append(r.findings, j)
	}
	for i := range a {
		if !used[i] {
			r.unused = append(r.unused, a[i])
		}
	}
	return r
}

// open counts the findings that are not accepted.
func (r auditResult) open() (n int) {
	for _, j := range r.findings {
		if j.accepted == nil {
			n++
		}
	}
	return n
}

// err is errFound if something is not accepted.
func (r auditResult) err() error {
	if r.open() > 0 {
		return errFound
	}
	return nil
}

func (r auditResult) print(w io.Writer) error {
	if len(r.findings) == 0 {
		fmt.Fprintln(w, "no findings")
	}
	var rows [][]string
	for _, j := range r.findings {
		if j.accepted != nil {
			continue
		}
		rows = append(rows, []string{j.Severity.String(), j.Rule, j.Where(), j.What}, []string{"", "", "", "hint: " + j.Hint})
		if j.expired != nil {
			rows = append(rows, []string{"", "", "", "was accepted until " + j.expired.Until + ": " + j.expired.Reason})
		}
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	for _, j := range r.findings {
		if j.accepted != nil {
			fmt.Fprintf(w, "accepted until %s  %s: %s: %s\n", j.accepted.Until, j.Rule, j.Where(), j.accepted.Reason)
		}
	}
	for _, a := range r.unused {
		fmt.Fprintf(w, "line %d of the accepted findings matches none: %s; %s\n", a.line, a.Rule, a.Where)
	}
	return r.err()
}

func (r auditResult) printJSON(w io.Writer) error {
	type finding struct {
		Severity string      `json:"severity"`
		Rule     string      `json:"rule"`
		Table    string      `json:"table,omitempty"`
		Column   string      `json:"column,omitempty"`
		Object   string      `json:"object,omitempty"`
		Where    string      `json:"where"`
		What     string      `json:"what"`
		Hint     string      `json:"hint"`
		Accepted *acceptance `json:"accepted,omitempty"`
		Expired  *acceptance `json:"expired,omitempty"`
	}
	out := struct {
		Open     int       `json:"open"` // findings that are not accepted
		Findings []finding `json:"findings"`
		Unused   []string  `json:"unused,omitempty"` // acceptances that match no finding
	}{Open: r.open(), Findings: []finding{}}
	for _, j := range r.findings {
		out.Findings = append(out.Findings, finding{j.Severity.String(), j.Rule, j.Table, j.Column, j.Object, j.Where(), j.What, j.Hint, j.accepted, j.expired})
	}
	for _, a := range r.unused {
		out.Unused = append(out.Unused, a.Rule+"; "+a.Where)
	}
	if err := printJSON(w, out); err != nil {
		return err
	}
	return r.err()
}
