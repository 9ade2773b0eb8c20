package dbcheck

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// Options are what [System] is told.
type Options struct {
	// KMS is the key service that the programs use. If nil, no key service is looked at.
	KMS kms.Wrapper
	// SearchKeysFor is how long two search keys may be live. If zero, a week.
	SearchKeysFor time.Duration
	// MaxSkew is how far the database's clock and this machine's may be apart. If zero, a minute.
	MaxSkew time.Duration
	// BusyRows is how many rows a table has before an index that is missing or not used is a finding. If zero, 10,000.
	BusyRows int
}

func (o *Options) defaults() {
	if o.SearchKeysFor == 0 {
		o.SearchKeysFor = 7 * 24 * time.Hour
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = time.Minute
	}
	if o.BusyRows == 0 {
		o.BusyRows = 10000
	}
}

// System is [Run], and looks at what a running system shows besides: the keys, who may change the keyring, whether KMS
// answers and opens what it wrapped, the search path, poolers, what the server logs, clocks, indexes that are not used or are missing, and
// changes of search keys that nobody ends. It changes nothing. For KMS it unwraps one key under each KEK.
//
// What it could not look at is a finding of the rule "unreadable".
func System(ctx context.Context, db *sql.DB, o Options) ([]Finding, error) {
	o.defaults()
	found, err := examine(ctx, db, func(k *checker) []func(context.Context) error {
		s := &system{checker: k, o: o}
		return []func(context.Context) error{s.keyring, s.grants, s.searchPath, s.logging, s.clock, s.uses}
	})
	if err != nil {
		return nil, err
	}
	pooled, err := pooler(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("dbcheck: %w", err)
	}
	found = append(found, pooled...)
	sortFindings(found)
	return found, nil
}

// system is the work of one System.
type system struct {
	*checker
	o Options
}

// denied reports whether an error is that the role may not do it.
func denied(err error) bool {
	return dbcatalog.SQLState(err) == "42501" // insufficient_privilege
}

// unseen is a finding about what could not be looked at.
func (s *system) unseen(table, what, hint string) {
	s.add(Finding{Severity: SeverityWarning, Rule: "unreadable", Table: table, What: what, Hint: hint})
}

// keyring looks at the keys: at those that are not used, changes of search keys, and KMS.
func (s *system) keyring(ctx context.Context) error {
	store, err := s.db.Keyring(ctx)
	if err != nil {
		return err
	}
	keys, err := keyring.NewAdmin(store, noKMS{}, keyring.AdminConfig{}).Keys(ctx, keyring.Filter{})
	switch {
	case errors.Is(err, keyring.ErrNoKeyTable):
		return nil // a finding of keyTable, unless it is made at its first use
	case denied(err):
		s.unseen(s.db.KeyTable, "the keys could not be looked at: this role may not read the keyring table", "run doctor as a role that may SELECT from it")
		return nil
	case err != nil:
		return err
	}
	searched := map[string][]keyring.Key{}
	for _, k := range keys {
		if k.State == keyring.StateInvalid {
			s.add(Finding{Severity: SeverityDanger, Rule: "key", Table: s.db.KeyTable, Object: fmt.Sprintf("%08x", k.ID), What: "its row cannot be a key's, and it is not used",
				Hint: "see `colseal keys list`; if the row was changed, restore it by `colseal keys import`, and see who may write to the keyring"})
		}
		if k.Searched() {
			searched[k.Scope] = append(searched[k.Scope], k)
		}
	}
	for _, two := range searched {
		newest := two[len(two)-1]
		if len(two) > 1 && newest.SealsFor > s.o.SearchKeysFor {
			s.add(Finding{Severity: SeverityWarning, Rule: "search-keys", Table: s.db.KeyTable, Object: fmt.Sprintf("%08x", two[0].ID),
				What: fmt.Sprintf("two search keys of %s have been live for %d days: searches are slower, and unique columns do not see duplicates", scopeName(newest.Scope), int(newest.SealsFor.Hours()/24)),
				Hint: fmt.Sprintf("end the change: colseal keys reseal --purpose search, then colseal keys retire %08x", two[0].ID)})
		}
	}
	return s.kms(ctx, keys)
}

func scopeName(scope string) string {
	if scope == "" {
		return "the default scope"
	}
	return "scope " + strconv.Quote(scope)
}

// noKMS is for looking at keys.
type noKMS struct{ kms.Wrapper }

// kms asks the key service: whether it answers, and whether it opens a key under each KEK.
func (s *system) kms(ctx context.Context, keys []keyring.Key) error {
	if s.o.KMS == nil {
		return nil
	}
	const hint = "see docs/troubleshooting.md for the class of the error, and what the key's policy and the program's role allow"
	if c, ok := s.o.KMS.(kms.Checker); ok {
		if err := c.Check(ctx); err != nil {
			s.add(Finding{Severity: SeverityDanger, Rule: "kms", What: "it does not answer, or does not let this role use its key: " + err.Error(), Hint: hint})
			return ctx.Err()
		}
	}
	asked := map[string]bool{}
	for _, k := range slices.Backward(keys) { // the newest first
		kek := k.Wrapped.KeyID
		if asked[kek] || k.State == keyring.StateDestroyed || k.State == keyring.StateInvalid {
			continue
		}
		asked[kek] = true
		plain, err := s.o.KMS.Unwrap(ctx, k.Wrapped, k.Call().EncryptionContext())
		clear(plain)
		if err != nil {
			s.add(Finding{Severity: SeverityDanger, Rule: "kms", Object: kek, What: fmt.Sprintf("it does not open key %08x: %v", k.ID, err), Hint: hint})
		}
	}
	return ctx.Err()
}

// grants looks at who may take keys away, or read them.
func (s *system) grants(ctx context.Context) error {
	name, err := dbcatalog.ParseName(s.db.KeyTable)
	if err != nil {
		return err
	}
	rows, err := s.query(ctx, `SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END,
	pg_catalog.string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type)
FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
WHERE c.oid = pg_catalog.to_regclass($1)::pg_catalog.oid AND a.grantee <> c.relowner AND (a.grantee = 0 OR a.privilege_type IN ('DELETE', 'TRUNCATE', 'TRIGGER'))
GROUP BY a.grantee ORDER BY 1`, name.SQL())
	if err != nil {
		return err
	}
	for _, r := range rows {
		sev := SeverityWarning
		if r[0] == "PUBLIC" {
			sev = SeverityDanger
		}
		s.add(Finding{Severity: sev, Rule: "keyring-grants", Table: s.db.KeyTable, Object: r[0],
			What: "it has the privileges " + r[1] + ": no program needs these, and what is under a key that was deleted is lost",
			Hint: fmt.Sprintf("REVOKE %s ON %s FROM %s; docs/keys.md has what programs, operators and auditors need", r[1], name.SQL(), dbcatalog.QuoteIdent(r[0]))})
	}
	return nil
}

// searchPath looks whether names mean the tables that the schema registers.
func (s *system) searchPath(ctx context.Context) error {
	var names []string
	for _, t := range s.db.Schema.Tables() {
		if t.Schema == "" {
			names = append(names, t.Name)
		}
	}
	rows, err := s.query(ctx, `SELECT t.name, pg_catalog.to_regclass(pg_catalog.quote_ident(t.name))::pg_catalog.oid::pg_catalog.text,
	(SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = t.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY (pg_catalog.current_schemas(false)))::pg_catalog.text
FROM pg_catalog.unnest($1::pg_catalog.text[]) AS t(name) ORDER BY 1`, pgarray.Strings(names))
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, rel := range s.rels {
		there[rel.name] = true
	}
	for _, r := range rows {
		switch {
		case r[1] == "" && there[r[0]]:
			s.add(Finding{Severity: SeverityWarning, Rule: "search-path", Table: r[0], What: "no schema in the search path has it: statements that do not name its schema fail",
				Hint: "set the search_path of the role or the database, or register the table with its schema"})
		case r[2] != "0" && r[2] != "1":
			s.add(Finding{Severity: SeverityWarning, Rule: "search-path", Table: r[0], What: r[2] + " schemas in the search path have a table of this name: which one a statement means hangs on their order",
				Hint: "take one of them out of the search_path of the role, or register the table with its schema"})
		}
	}
	rows, err = s.query(ctx, `SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY (pg_catalog.current_schemas(false)) AND EXISTS (SELECT 1 FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE') ORDER BY 1`)
	for _, r := range rows {
		s.add(Finding{Severity: SeverityWarning, Rule: "search-path", Object: "schema " + r[0], What: "every role may create objects in it, and it is in the search path: a table or a function there can stand for another",
			Hint: "REVOKE CREATE ON SCHEMA " + dbcatalog.QuoteIdent(r[0]) + " FROM PUBLIC"})
	}
	return err
}

// logSettings are those by which the server, or an extension, writes statements or their parameters down, and the values with which it
// does not.
var logSettings = []struct{ name, quiet string }{
	{"log_statement", "none ddl"}, {"log_min_duration_statement", "-1"}, {"log_min_duration_sample", "-1"},
	{"log_transaction_sample_rate", "0"}, {"log_parameter_max_length_on_error", "0"}, {"auto_explain.log_min_duration", "-1"},
	{"pgaudit.log", "none ddl role read_only"}, {"debug_print_parse", "off"}, {"debug_print_rewritten", "off"}, {"debug_print_plan", "off"},
}

// logging looks at what the server writes down of statements.
func (s *system) logging(ctx context.Context) error {
	for _, l := range logSettings {
		rows, err := s.query(ctx, `SELECT pg_catalog.current_setting($1, true)`, l.name)
		if denied(err) {
			s.unseen("", "the setting "+l.name+" could not be looked at", "run doctor as a member of pg_read_all_settings")
			continue
		}
		if err != nil {
			return err
		}
		if value := rows[0][0]; value != "" && !slices.Contains(strings.Fields(l.quiet), value) {
			s.add(Finding{Severity: SeverityWarning, Rule: "statement-log", Object: l.name, What: "it is " + value + ": the server writes statements or their parameters down. Those that pass Colseal hold cells; those of a migration, " +
				"of psql and of programs without Colseal hold plaintext", Hint: "turn it off (ALTER SYSTEM RESET " + l.name + "), or keep the log as you keep the plaintext"})
		}
	}
	return nil
}

// clock compares the database's clock with this machine's, and with the keys' times.
func (s *system) clock(ctx context.Context) error {
	before := time.Now()
	rows, err := s.query(ctx, `SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8::pg_catalog.text`)
	if err != nil {
		return err
	}
	ms, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return err
	}
	here := before.Add(time.Since(before) / 2)
	if skew := here.Sub(time.UnixMilli(ms)); skew.Abs() > s.o.MaxSkew {
		s.add(Finding{Severity: SeverityWarning, Rule: "clock", What: fmt.Sprintf("the database's clock and this machine's are %s apart", skew.Abs().Round(time.Second)),
			Hint: "let both follow NTP: key services refuse requests that are minutes off, and keys rotate by the database's clock"})
	}
	name, err := dbcatalog.ParseName(s.db.KeyTable)
	if err != nil {
		return err
	}
	rows, err = s.query(ctx, "SELECT (pg_catalog.max(created_at) > pg_catalog.clock_timestamp() + interval '1 minute')::pg_catalog.text FROM "+name.SQL())
	if denied(err) || dbcatalog.SQLState(err) == "42P01" { // undefined_table
		return nil // said by keyring
	}
	if err == nil && rows[0][0] == "true" {
		s.add(Finding{Severity: SeverityDanger, Rule: "clock", Table: s.db.KeyTable, What: "a key was made later than it is by the database's clock, which was set back: keys rotate too late",
			Hint: "set the database's clock, then colseal keys rotate --purpose data"})
	}
	return err
}

const usesQuery = `SELECT i.indrelid::pg_catalog.text, c.relname::pg_catalog.text, i.indkey::pg_catalog.text, i.indisunique::pg_catalog.text,
	COALESCE(s.idx_scan, 0)::pg_catalog.text, am.amname::pg_catalog.text, (i.indisvalid AND i.indpred IS NULL)::pg_catalog.text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid = i.indexrelid
WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) ORDER BY c.relname`

// uses finds deterministic columns without an index, and indexes that nobody uses.
func (s *system) uses(ctx context.Context) error {
	rows, err := s.query(ctx, usesQuery, s.oids())
	if err != nil {
		return err
	}
	indexed := map[*column]bool{}
	for _, r := range rows {
		keys := attributes(r[2])
		if len(keys) == 0 {
			continue
		}
		c := s.sealed(r[0], keys[0])
		if c == nil || c.col.Mode != schema.Deterministic || r[5] != "btree" && r[5] != "hash" {
			continue // Run judges the others
		}
		if r[6] == "true" {
			indexed[c] = true
		}
		if r[4] == "0" && r[3] != "true" && c.rel.rows >= float64(s.o.BusyRows) {
			s.on(SeverityWarning, "unused-index", c.rel, c, r[1], "no search has used it since the server's statistics began", "if that is long ago, drop it: it costs each write")
		}
	}
	for _, rel := range s.rels {
		for _, c := range rel.sorted() {
			if rel.kind == "r" && c.col.Mode == schema.Deterministic && !indexed[c] && rel.rows >= float64(s.o.BusyRows) {
				s.on(SeverityWarning, "no-index", rel, c, "", fmt.Sprintf("no index begins with it, and the table has about %.0f rows: a search by it reads all of them", rel.rows),
					"CREATE INDEX CONCURRENTLY ON "+rel.sql()+" ("+dbcatalog.QuoteIdent(c.name)+"), or make the column random if nobody searches by it")
			}
		}
	}
	return nil
}

// pooler finds out whether a pooler stands before the server that lends its connections for one transaction each: then two of
// ours that are open at once are answered by one process, and what it told when they began is not that.
func pooler(ctx context.Context, db *sql.DB) ([]Finding, error) {
	var pids []string
	pooled := false
	for range 2 {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = conn.Close() }() // back to the pool
		err = conn.Raw(func(driverConn any) error {
			_, q, _ := sealeddb.Of(driverConn)
			rows, err := q.Query(ctx, "SELECT pg_catalog.pg_backend_pid()::pg_catalog.text")
			if err != nil {
				return err
			}
			pids = append(pids, rows[0].Text(0))
			if below, ok := driver.Raw(driverConn); ok {
				if pgx, ok := below.(interface{ Conn() *pgx.Conn }); ok {
					pooled = pooled || strconv.FormatUint(uint64(pgx.Conn().PgConn().PID()), 10) != rows[0].Text(0)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if !pooled || pids[0] != pids[1] {
		return nil, nil
	}
	return []Finding{{Severity: SeverityWarning, Rule: "pooler", What: "the connection goes through a pooler that lends the server's for one transaction each",
		Hint: "programs need default_query_exec_mode=exec, simple_protocol or cache_describe in their DSN (docs/keys.md), and what SET changes does not stay"}}, nil
}
