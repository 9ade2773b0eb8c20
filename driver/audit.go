package driver

import (
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
)

// Severity says how much a finding matters.
type Severity uint8

// The severities, in ascending order.
const (
	// Warning: nothing is leaked or lost by it as it stands, but it does less than it seems to, or a
	// safeguard is missing.
	Warning Severity = iota + 1
	// Danger: plaintext is stored or can be, or statements silently do the wrong thing.
	Danger
)

// String returns "warning" or "danger".
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Danger:
		return "danger"
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// Finding is one thing in the database that does not go together with the schema. It holds
// names and counts, never a value.
type Finding struct {
	Severity Severity
	Rule     string // the kind of finding, for filters: "trigger", "plaintext", …
	Table    string // the table or view; "" when it is about the server
	Column   string // the sealed column; "" when it is about the table
	Object   string // the trigger, index, view, … concerned; "" when there is none
	What     string
	Mend     string
}

// String renders the finding as one line.
func (f Finding) String() string {
	s := f.Severity.String() + " [" + f.Rule + "]"
	if f.Table != "" {
		s += " " + f.Table
		if f.Column != "" {
			s += "." + f.Column
		}
	}
	if f.Object != "" {
		s += " (" + f.Object + ")"
	}
	s += ": " + f.What
	if f.Mend != "" {
		s += " — " + f.Mend
	}
	return s
}

// Audit looks in the database for what works around, or against, the sealed columns of the
// schema that db was opened with: objects that read or write them behind the driver's back,
// columns that cannot hold cells, a missing backstop, values that are not sealed. It
// changes nothing. Findings come with the dangerous ones first; none means that all
// checks passed, not that nothing else can be wrong: what a function does can be told only
// from the names in its body.
//
// It is meant for start-up and for deployments: a handful of catalog queries, and per sealed
// column without a CHECK one over a sample of the table. It is for PostgreSQL only.
func Audit(ctx context.Context, db *sql.DB) ([]Finding, error) {
	var found []Finding
	err := withConn(ctx, db, func(c *conn) error {
		if c.st.cfg.Dialect != Postgres {
			return errors.New("colseal: Audit: only PostgreSQL can be audited")
		}
		a := &auditor{c: c, ctx: ctx}
		if err := a.run(); err != nil {
			return fmt.Errorf("colseal: audit: %w", err)
		}
		found = a.found
		return nil
	})
	slices.SortStableFunc(found, func(x, y Finding) int {
		return cmp.Or(-cmp.Compare(x.Severity, y.Severity), cmp.Compare(x.Table, y.Table), cmp.Compare(x.Column, y.Column),
			cmp.Compare(x.Rule, y.Rule), cmp.Compare(x.Object, y.Object))
	})
	return found, err
}

// auditor is the work of one Audit.
type auditor struct {
	c     *conn
	ctx   context.Context // an audit lives for one call
	rels  []*auditRel
	byOID map[string]*auditRel
	found []Finding
}

// run goes through all checks. They are independent of each other, but for the first, which
// finds the tables.
func (a *auditor) run() error {
	for _, step := range []func() error{
		a.readRelations, a.readColumns, a.server, a.keyTable,
		a.checks, a.indexes, a.foreignKeys, a.triggers, a.rules, a.functions, a.dependents, a.wholeRows, a.children, a.plaintext,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) add(f Finding) { a.found = append(a.found, f) }

// on makes a finding about a relation and perhaps a column of it.
func (a *auditor) on(sev Severity, rule string, rel *auditRel, col *auditCol, object, what, mend string) {
	f := Finding{Severity: sev, Rule: rule, Table: rel.label, Object: object, What: what, Mend: mend}
	if col != nil {
		f.Column = col.name
	}
	a.add(f)
}

// query runs one of our catalog queries; all its columns are text, and NULL is "".
func (a *auditor) query(text string, params ...string) ([][]string, error) {
	values := make([]sqldriver.Value, len(params))
	for i, p := range params {
		values[i] = p
	}
	rows, err := a.c.own().Query(a.ctx, text, values...)
	if err != nil {
		return nil, err
	}
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = make([]string, len(row))
		for j := range row {
			out[i][j] = row.Text(j)
		}
	}
	return out, nil
}

// server checks the settings of the session.
func (a *auditor) server() error {
	rows, err := a.query(`SELECT pg_catalog.current_setting('standard_conforming_strings')`)
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0][0] != "on" {
		a.add(Finding{Severity: Danger, Rule: "standard-strings", Object: "standard_conforming_strings",
			What: "it is off, so that string literals mean something else to the server than to the analysis, and statements are refused",
			Mend: "set it on, which is the default, for the database and the role (ALTER DATABASE … SET, ALTER ROLE … SET)"})
	}
	return nil
}

// keyTable checks that the keyring is there, unless it is elsewhere or is made on first use.
func (a *auditor) keyTable() error {
	cfg := a.c.st.cfg
	if cfg.KeyConnector != nil || cfg.AutoCreateKeyTable {
		return nil
	}
	rows, err := a.query(`SELECT pg_catalog.to_regclass($1)::pg_catalog.oid::pg_catalog.text`, cfg.KeyTable)
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0][0] == "" {
		a.add(Finding{Severity: Danger, Rule: "key-table", Table: cfg.KeyTable, What: "the keyring table does not exist",
			Mend: "create it with what `colseal ddl` prints, or set Config.AutoCreateKeyTable"})
	}
	return nil
}
