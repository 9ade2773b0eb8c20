package dbcheck

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// Options are what [System] is told.
type Options struct {
	// KMS is the key service of the programs. If nil, it is not looked at, which is a finding.
	KMS kms.Wrapper
	// SearchKeysFor is how long two search keys of a scope may be live. If zero, a week.
	SearchKeysFor time.Duration
	// MaxSkew bounds the difference between the clocks of the database and of this machine. If
	// zero, a minute.
	MaxSkew time.Duration
	// BusyRows is the number of rows from which an index that is missing or not used is a finding.
	// If zero, 10,000.
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

// System does what [Run] does, and also checks the running system: whether the keys serve and the
// key service opens and makes them, cells whose key is missing, who may change the keyring, the
// search path, a pooler, what the server logs of statements, clocks, indexes that are missing or
// not used, and changes of search keys that nobody ended. What it may not look at is a finding of
// the rule "unreadable". It changes nothing. It asks the key service to make one key, and to unwrap
// one under each KEK, and wipes them at once.
//
// Use the connection settings and the key service of the programs: System sees what their role,
// their search path and their pooler allow.
func System(ctx context.Context, db *sql.DB, o Options) ([]Finding, error) {
	o.defaults()
	pooled, err := pooler(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("dbcheck: %w", err)
	}
	if len(pooled) > 0 {
		return pooled, nil
	}
	return examine(ctx, db, func(k *checker, ctx context.Context) error {
		s := &system{checker: k, o: o}
		return inTurn(ctx, k.run, s.keys, s.grants, s.searchPath, s.logging, s.clock, s.uses)
	})
}

// system is the work of one System.
type system struct {
	*checker
	o     Options
	store *keyring.Store // nil: there is none, or it cannot be read
}

// unread adds a finding about what could not be looked at.
func (s *system) unread(table, object, what, hint string) {
	s.add(Finding{Severity: SeverityWarning, Rule: "unreadable", Table: table, Object: object, What: what, Hint: hint})
}

// keys looks at the keys, the key service, and the keys of cells.
func (s *system) keys(ctx context.Context) error {
	keys, err := s.readKeys(ctx)
	switch {
	case denied(err):
		s.unread(s.db.KeyTable, "", "the keys, and whether there is one for each cell, could not be looked at: this role may not read the keyring table",
			"run doctor as a role with what `colseal ddl` grants an auditor")
	case err != nil && ctx.Err() == nil:
		s.add(Finding{Severity: SeverityDanger, Rule: "keyring", Table: s.db.KeyTable, What: "the keyring cannot be used: " + err.Error(), Hint: "see docs/troubleshooting.md for the error"})
	case err != nil:
		return err
	}
	live := map[string][]keyring.Key{}
	for _, k := range keys {
		if why := k.Invalid; why != nil || k.Stray != nil {
			if why == nil {
				why = k.Stray
			}
			s.add(Finding{Severity: SeverityDanger, Rule: "key", Table: s.db.KeyTable, Object: fmt.Sprintf("%08x", k.ID), What: why.Error(),
				Hint: "restore the row by `colseal keys import` if it was a key's, and find out who may write to the keyring"})
		}
		if k.Searched() {
			live[k.Scope] = append(live[k.Scope], k)
		}
	}
	for scope, two := range live {
		if newest := two[len(two)-1]; len(two) > 1 && newest.Age > s.o.SearchKeysFor {
			s.add(Finding{Severity: SeverityWarning, Rule: "search-keys", Table: s.db.KeyTable, Object: fmt.Sprintf("%08x", two[0].ID),
				What: fmt.Sprintf("two search keys of scope %q have been live for %d days: each search looks for both, and joins, grouping and ON CONFLICT by such columns are refused", scope, int(newest.Age.Hours()/24)),
				Hint: fmt.Sprintf("end the change: `colseal keys reseal --purpose search`, then `colseal keys retire %08x`", two[0].ID)})
		}
	}
	if err := s.service(ctx, keys); err != nil {
		return err
	}
	if s.store == nil {
		return nil
	}
	return s.cells(ctx)
}

// readKeys reads all keys. It makes no keyring.
func (s *system) readKeys(ctx context.Context) ([]keyring.Key, error) {
	oid, _, err := s.findKeyring(ctx)
	if err != nil || oid == "" && s.db.KeyTableHere {
		return nil, err // that it is missing is a finding of Run
	}
	if oid == "" && !s.db.KeyTableElsewhere {
		return nil, nil // it is made at its first use
	}
	store, err := s.db.Keyring(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := store.Rings(ctx, keyring.Filter{})
	if err == nil {
		s.store = store
	}
	return keys, err
}

// service asks the key service whether it answers, opens a key under each KEK, and makes one.
func (s *system) service(ctx context.Context, keys []keyring.Key) error {
	if s.o.KMS == nil {
		s.unread("", "key service", "it was not asked", "name the programs' key service (--kms, or Options.KMS)")
		return nil
	}
	fail := func(object, what string, err error) {
		s.add(Finding{Severity: SeverityDanger, Rule: "kms", Object: object, What: what + ": " + err.Error(),
			Hint: "compare the state and the policy of the key encryption key with docs/aws.md or docs/key-services.md"})
	}
	if c, ok := s.o.KMS.(kms.Checker); ok {
		if err := c.Check(ctx); err != nil {
			fail("", "the key service does not answer, or not for this key", err)
			return ctx.Err()
		}
	}
	asked := map[string]bool{}
	for _, k := range slices.Backward(keys) { // of a scope the newest first
		kek := k.Wrapped.KeyID
		inbox := k.Purpose == keyring.PurposeInbox && k.Live()
		if asked[kek] && !inbox || k.Purpose == keyring.PurposeWriter || k.Destroyed || k.Invalid != nil || k.Stray != nil {
			continue
		}
		asked[kek] = true
		plain, err := s.o.KMS.Unwrap(ctx, k.Wrapped, k.Call().EncryptionContext())
		if err != nil {
			fail(kek, fmt.Sprintf("the key service does not open key %08x", k.ID), err)
		} else if inbox {
			s.inbox(k, plain)
		}
		clear(plain)
	}
	if len(keys) > 0 { // whose keyring the new one is said to be for
		call := keys[0].Call()
		call.Op, call.KeyID, call.KEK = kms.OpGenerate, 0, ""
		made, err := s.o.KMS.GenerateDataKey(ctx, call.EncryptionContext())
		made.Wipe()
		if err != nil {
			fail("", "the key service makes no key, so that none follows the ones that there are", err)
		}
	}
	return ctx.Err()
}

// inbox looks whether the public key of an inbox is that of its private key.
func (s *system) inbox(k keyring.Key, seed []byte) {
	if _, err := k.Private(seed); err != nil {
		s.add(Finding{Severity: SeverityDanger, Rule: "inbox", Table: s.db.KeyTable, Object: fmt.Sprintf("%08x", k.ID), What: err.Error(),
			Hint: "somebody wants to read what write-only programs seal: give its pin to none, revoke it, and find out who may write to the keyring"})
	}
}

// cells looks for cells whose key the keyring does not have.
func (s *system) cells(ctx context.Context) error {
	for _, rel := range s.rels {
		if rel.kind == "v" || rel.kind == "f" {
			continue
		}
		for _, c := range rel.sorted() {
			if c.unread || c.storage == dbcatalog.StorageOther {
				continue
			}
			if err := s.missing(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// headText is how many characters of a cell stored as text hold its header.
const headText = len(codec.TextPrefix) + (codec.HeaderSize*8+5)/6

// missing looks at a part of a column's cells. Each header is taken from one of them.
func (s *system) missing(ctx context.Context, c *column) error {
	name, cell, head := dbcatalog.QuoteIdent(c.name), "pg_catalog.encode(%s, 'hex')", codec.HeaderSize
	if c.text() {
		cell, head = "%s::pg_catalog.text", headText
	}
	rows, err := s.query(ctx, fmt.Sprintf("SELECT "+fmt.Sprintf(cell, "(pg_catalog.array_agg(%[1]s))[1]")+", pg_catalog.count(*)::pg_catalog.text FROM %[2]s GROUP BY pg_catalog.substr(%[1]s, 1, %[3]d)", name, c.values(), head))
	if denied(err) {
		s.on(SeverityWarning, "unreadable", c.rel, c, "", "the keys of its cells could not be looked at: this role may not read the table", "run doctor as a role that may SELECT from it")
		return nil
	}
	if err != nil {
		return err
	}
	cells := map[uint32]int{}
	for _, r := range rows {
		decode := hex.DecodeString
		if c.text() {
			decode = func(s string) ([]byte, error) { return codec.DecodeText([]byte(s), c.col.Tag()) }
		}
		if value, err := decode(r[0]); err == nil {
			if h, err := codec.Recognize(value, c.col.Tag()); err == nil { // Run judges the others
				cells[h.KeyID] += number(r[1])
			}
		}
	}
	var ids []uint32
	for id := range cells {
		ids = append(ids, id)
	}
	there, err := s.store.Keys(ctx, ids)
	if err != nil {
		return err
	}
	for _, k := range there {
		delete(cells, k.ID)
	}
	n := 0
	for _, of := range cells {
		n += of
	}
	if n > 0 {
		s.on(SeverityDanger, "missing-key", c.rel, c, "", fmt.Sprintf("%d of the cells looked at are under %d keys that the keyring does not have: nobody can open them", n, len(cells)),
			"`colseal keys check` counts all of them; `colseal keys import` takes the keys from a backup (docs/failover.md)")
	}
	return nil
}

// What operators have and nobody else needs, on the table or a column of it; and whatever PUBLIC
// may do.
const grantsQuery = `SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END,
	pg_catalog.string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type)
FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
WHERE c.oid = $1::pg_catalog.oid AND a.grantee <> c.relowner AND (a.grantee = 0 OR a.privilege_type IN ('DELETE', 'TRUNCATE', 'TRIGGER'))
GROUP BY a.grantee ORDER BY 1`

// grants looks at who may take keys away, or read them.
func (s *system) grants(ctx context.Context) error {
	oid, name, err := s.findKeyring(ctx)
	if err != nil || oid == "" {
		return ignoreDenied(err)
	}
	rows, err := s.query(ctx, grantsQuery, oid)
	if err != nil {
		return err
	}
	for _, r := range rows {
		sev, role := SeverityWarning, dbcatalog.QuoteIdent(r[0])
		if r[0] == "PUBLIC" {
			sev, role = SeverityDanger, r[0]
		}
		s.add(Finding{Severity: sev, Rule: "keyring-grants", Table: s.db.KeyTable, Object: r[0],
			What: "it may " + r[1] + ", which nobody needs: what is under a key that was deleted or changed is lost",
			Hint: "REVOKE " + r[1] + " ON " + name.SQL() + " FROM " + role + "; `colseal ddl` prints what programs, operators and auditors need"})
	}
	return nil
}

func ignoreDenied(err error) error {
	if denied(err) {
		return nil
	}
	return err
}

const pathQuery = `SELECT t.name, (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relname = t.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY (pg_catalog.current_schemas(false)))::pg_catalog.text
FROM pg_catalog.unnest($1::pg_catalog.text[]) AS t(name) ORDER BY 1`

const openSchemaQuery = `SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY (pg_catalog.current_schemas(false))
	AND EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE') ORDER BY 1`

// searchPath looks whether names mean the tables that the schema registers.
func (s *system) searchPath(ctx context.Context) error {
	var names []string
	for _, rel := range s.rels {
		if rel.table.Schema == "" && !slices.Contains(names, rel.name) {
			names = append(names, rel.name)
		}
	}
	rows, err := s.query(ctx, pathQuery, pgarray.Strings(names))
	if err != nil {
		return err
	}
	for _, r := range rows {
		switch r[1] {
		case "0":
			s.add(Finding{Severity: SeverityWarning, Rule: "search-path", Table: r[0], What: "no schema in the search path has it: statements that do not name its schema fail",
				Hint: "set the search_path of the role or the database, or register the table with its schema"})
		case "1":
		default:
			s.add(Finding{Severity: SeverityWarning, Rule: "search-path", Table: r[0], What: r[1] + " schemas in the search path have a table of this name: their order decides which one a statement means",
				Hint: "take one of them out of the search_path, or register the table with its schema"})
		}
	}
	if rows, err = s.query(ctx, openSchemaQuery); err != nil {
		return err
	}
	for _, r := range rows {
		s.add(Finding{Severity: SeverityWarning, Rule: "search-path", Object: "schema " + r[0], What: "it is in the search path, and every role may create objects in it: a table or function there can stand for another",
			Hint: "REVOKE CREATE ON SCHEMA " + dbcatalog.QuoteIdent(r[0]) + " FROM PUBLIC"})
	}
	return nil
}

// logSettings are the settings by which the server, or an extension, logs statements or their
// parameters, with the values that turn this off.
var logSettings = []struct{ name, quiet string }{
	{"log_statement", "none ddl"}, {"log_min_duration_statement", "-1"}, {"log_min_duration_sample", "-1"},
	{"log_transaction_sample_rate", "0"}, {"log_parameter_max_length_on_error", "0"}, {"auto_explain.log_min_duration", "-1"},
	{"pgaudit.log", "none ddl role"}, {"debug_print_parse", "off"}, {"debug_print_rewritten", "off"}, {"debug_print_plan", "off"},
}

// logging looks at what the server writes down of statements.
func (s *system) logging(ctx context.Context) error {
	for _, l := range logSettings {
		rows, err := s.query(ctx, `SELECT pg_catalog.current_setting($1, true)`, l.name)
		if denied(err) {
			s.unread("", l.name, "the setting could not be looked at", "run doctor as a member of pg_read_all_settings")
			continue
		}
		if err != nil {
			return err
		}
		if value := rows[0][0]; value != "" && !slices.Contains(strings.Fields(l.quiet), value) {
			s.add(Finding{Severity: SeverityWarning, Rule: "statement-log", Object: l.name, What: "it is " + value + ": the server writes statements or their parameters down. " +
				"Those that pass Colseal hold cells; those of psql, of migrations and of programs without Colseal hold plaintext",
				Hint: "ALTER SYSTEM RESET " + l.name + ", and look for it at databases and roles; or guard the log as the plaintext"})
		}
	}
	return nil
}

// clock compares the database's clock with this machine's, and with the keys' times.
func (s *system) clock(ctx context.Context) error {
	before := time.Now()
	rows, err := s.query(ctx, `SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8::pg_catalog.text`)
	if err != nil {
		return err
	}
	micros, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return err
	}
	here := before.Add(time.Since(before) / 2)
	if skew := here.Sub(time.UnixMicro(micros)); skew.Abs() > s.o.MaxSkew {
		s.add(Finding{Severity: SeverityWarning, Rule: "clock", What: "the clocks of the database and of this machine are " + skew.Abs().String() + " apart",
			Hint: "let both follow NTP: key services refuse requests that are minutes off, and keys rotate by the database's clock"})
	}
	oid, name, err := s.findKeyring(ctx)
	if err != nil || oid == "" {
		return ignoreDenied(err)
	}
	rows, err = s.query(ctx, "SELECT (pg_catalog.max(created_at) > pg_catalog.clock_timestamp() + interval '1 minute')::pg_catalog.text FROM "+name.SQL())
	if err == nil && rows[0][0] == "true" {
		s.add(Finding{Severity: SeverityDanger, Rule: "clock", Table: s.db.KeyTable, What: "a key was made at a time that is still to come: the database's clock was set back, and keys rotate too late",
			Hint: "set the database's clock, and then run `colseal keys rotate --purpose data`"})
	}
	return ignoreDenied(err)
}

const usesQuery = `SELECT i.indrelid::pg_catalog.text, c.relname::pg_catalog.text, i.indkey::pg_catalog.text, i.indisunique::pg_catalog.text,
	COALESCE(s.idx_scan, 0)::pg_catalog.text, am.amname::pg_catalog.text, i.indisvalid::pg_catalog.text,
	pg_catalog.pg_get_expr(i.indexprs, i.indrelid), pg_catalog.pg_get_expr(i.indpred, i.indrelid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid = i.indexrelid
WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) ORDER BY c.relname`

// uses finds columns of big tables that can be searched by and have no index, and indexes of such
// columns that nothing uses.
func (s *system) uses(ctx context.Context) error {
	rows, err := s.query(ctx, usesQuery, s.oids())
	if err != nil {
		return err
	}
	indexed := map[*column]bool{}
	for _, r := range rows {
		for _, c := range s.byOID[r[0]].sorted() {
			if !s.busy(c) || !leads(c, attributes(r[2]), r[7]) || r[5] != "btree" && (r[5] != "hash" || c.col.Sorted()) {
				continue // Run judges the others
			}
			if r[6] == "true" && servesAll(r[8], c.name) {
				indexed[c] = true
			}
			if r[4] == "0" && r[3] != "true" {
				s.on(SeverityWarning, "unused-index", c.rel, c, r[1], "no search has used it since the server's statistics began", "if that is long ago, drop it: it costs time at each write")
			}
		}
	}
	for _, rel := range s.rels {
		for _, c := range rel.sorted() {
			if s.busy(c) && !indexed[c] {
				s.on(SeverityWarning, "no-index", rel, c, "", fmt.Sprintf("no index begins with it, and the table has about %.0f rows: a search by it reads all of them", rel.rows),
					"CREATE INDEX CONCURRENTLY ON "+rel.sql()+" ("+dbcatalog.QuoteIdent(c.name)+"), or seal it at random if nothing searches by it")
			}
		}
	}
	return nil
}

// servesAll reports whether an index with this condition, as the server prints it, is used for
// every search by a column.
func servesAll(condition, column string) bool {
	return condition == "" || condition == "("+column+" IS NOT NULL)" || condition == "("+dbcatalog.QuoteIdent(column)+" IS NOT NULL)"
}

// busy reports whether a column can be searched by, and a search without an index is slow.
func (s *system) busy(c *column) bool {
	return (c.col.EqualCells() || c.col.Sorted()) && c.rel.kind == "r" && c.rel.rows >= float64(s.o.BusyRows)
}

// leads reports whether an index, of these attributes and expressions, is searched by the column.
func leads(c *column, keys []string, exprs string) bool {
	_, fold, _ := c.overTerms(exprs)
	return len(keys) > 0 && (keys[0] == c.num || keys[0] == "0" && fold)
}

// pooler finds out whether a pooler lends connections to the server for one transaction each while
// statements are prepared. Behind such a pooler one process of the server answers two connections
// that are open at once, and it is another one than was named when they began.
func pooler(ctx context.Context, db *sql.DB) ([]Finding, error) {
	if db.Stats().MaxOpenConnections == 1 {
		return nil, nil // it takes two to tell
	}
	var told, answered [2]string
	prepares := false
	for i := range 2 {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = conn.Close() }() // back to the pool, both at the end
		err = conn.Raw(func(driverConn any) error {
			_, q, ok := sealeddb.Of(driverConn)
			if !ok {
				return sealeddb.ErrNotOurs
			}
			below, _ := driver.Raw(driverConn)
			std, ok := below.(interface{ Conn() *pgx.Conn })
			if !ok {
				return nil // another driver does not tell
			}
			mode := std.Conn().Config().DefaultQueryExecMode
			prepares = mode == pgx.QueryExecModeCacheStatement || mode == pgx.QueryExecModeDescribeExec
			told[i] = strconv.FormatUint(uint64(std.Conn().PgConn().PID()), 10)
			rows, err := q.Query(ctx, "SELECT pg_catalog.pg_backend_pid()::pg_catalog.text")
			if err == nil {
				answered[i] = rows[0].Text(0)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if !prepares || answered[0] != answered[1] || answered[0] == told[0] {
		return nil, nil
	}
	const hint = "add default_query_exec_mode=exec to the DSN (docs/keyring.md, The keyring's connections)"
	return []Finding{
		{Severity: SeverityDanger, Rule: "pooler", What: "a pooler lends a connection to the server for one transaction each, and pgx prepares statements: they fail, or meet those of others", Hint: hint},
		{Severity: SeverityWarning, Rule: "unreadable", What: "nothing else was looked at, because of the pooler", Hint: hint + ", or give doctor a DSN that leads to the server"},
	}, nil
}
