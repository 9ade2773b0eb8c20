package keylife

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// forms has a column that write-only programs may write, and two that they may not.
var forms = schema.Must(schema.Columns("forms",
	schema.Column{Name: "tax", Inbox: true}, schema.Column{Name: "note"}, schema.Column{Name: "mail", Mode: schema.ModeDeterministic}))

const formsDDL = "CREATE TABLE forms (id bigserial PRIMARY KEY, name text, tax bytea, note bytea, mail bytea)"

// office is a database with forms, an inbox, a role of write-only programs, and a program that reads.
type office struct {
	*world
	writer role
	inbox  keyring.Key
	reader *sql.DB
}

func newOffice(t *testing.T, pg *pgtest.DB) *office {
	t.Helper()
	o := &office{world: newWorld(t, pg)}
	o.exec(t, formsDDL)
	o.inbox = must[keyring.Key](t)(o.admin(t).Inbox(t.Context(), "", ""))
	o.writer = o.role(t, "writer")
	o.exec(t, o.store(t).Grants(o.role(t, "app").name, o.writer.name, o.role(t, "operator").name, o.role(t, "auditor").name))
	o.exec(t, "GRANT SELECT (id, name), INSERT, UPDATE ON forms TO "+o.writer.name)
	o.exec(t, "GRANT USAGE ON SEQUENCE forms_id_seq TO "+o.writer.name)
	o.reader = o.program(t, pg.DSN(), driver.Config{KMS: awskms.New(o.kms.Client(t), alias)})
	return o
}

func (o *office) program(t *testing.T, dsn string, cfg driver.Config) *sql.DB {
	t.Helper()
	cfg.Schema = forms
	return o.open(t, dsn, cfg)
}

func (o *office) open(t *testing.T, dsn string, cfg driver.Config) *sql.DB {
	t.Helper()
	db := must[*sql.DB](t)(openAs(dsn, cfg, mortal.New(0)))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// form is a write-only program that has just started.
func (o *office) form(t *testing.T) *sql.DB {
	t.Helper()
	return o.program(t, o.writer.dsn, driver.Config{WriteOnly: &driver.Inbox{Pins: []string{o.inbox.Pin()}}})
}

// TestWriteOnly: a write-only program seals by every way there is, a program with a KMS reads it, and KMS is asked once for
// the inbox and never by the writers.
func TestWriteOnly(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		ctx := t.Context()
		before := o.kms.Calls()
		want := map[string]string{}
		exec := func(db *sql.DB, name, tax, query string, args ...any) {
			t.Helper()
			if _, err := db.ExecContext(ctx, query, args...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			want[name] = tax
		}
		form := o.form(t)
		exec(form, "ann", "1", "INSERT INTO forms (name, tax) VALUES ('ann', $1)", "1")
		exec(form, "bob", "2", "INSERT INTO forms (name, tax) VALUES ('bob', '2')")
		exec(form, "ann", "3", "UPDATE forms SET tax = $1 WHERE name = 'ann'", "3")
		tx := must[*sql.Tx](t)(form.BeginTx(ctx, nil))
		must[sql.Result](t)(tx.ExecContext(ctx, "INSERT INTO forms (name, tax) VALUES ('cid', $1)", "4"))
		must[any](t)(nil, tx.Commit())
		want["cid"] = "4"
		conn := must[*sql.Conn](t)(form.Conn(ctx))
		must[int64](t)(driver.CopyFrom(ctx, conn, "forms", []string{"name", "tax"}, [][]any{{"dan", "5"}, {"eve", "6"}}))
		must[any](t)(nil, conn.Close())
		want["dan"], want["eve"] = "5", "6"

		cfg := must[*pgxpool.Config](t)(pgxpool.ParseConfig(o.writer.dsn))
		pool := must[*pgxseal.Pool](t)(pgxseal.New(ctx, cfg, driver.Config{Schema: forms, WriteOnly: &driver.Inbox{Pins: []string{o.inbox.Pin()}}}))
		defer pool.Close()
		if _, err := pool.Exec(ctx, "INSERT INTO forms (name, tax) VALUES ('fay', $1)", "7"); err != nil {
			t.Fatal(err)
		}
		want["fay"] = "7"
		if rows, err := pool.Query(ctx, "SELECT tax FROM forms"); !errors.Is(err, driver.ErrWriteOnly) {
			if err == nil {
				rows.Close()
			}
			t.Errorf("pgxseal: SELECT tax: %v, want ErrWriteOnly", err)
		}
		if n := o.kms.Calls() - before; n != 0 {
			t.Errorf("the write-only programs caused %d requests to KMS", n)
		}

		got := map[string]string{}
		rows := must[*sql.Rows](t)(o.reader.QueryContext(ctx, "SELECT name, tax FROM forms"))
		for rows.Next() {
			var name, tax string
			must[any](t)(nil, rows.Scan(&name, &tax))
			got[name] = tax
		}
		must[any](t)(nil, errors.Join(rows.Err(), rows.Close()))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("read %v, want %v", got, want)
		}
		if n := o.kms.Calls() - before; n != 1 {
			t.Errorf("reading took %d requests to KMS, want 1 for the inbox", n)
		}
		if n := len(o.keys(t, keyring.Filter{Purpose: keyring.PurposeWriter})); n != 2 {
			t.Errorf("%d writers' keys, want one of each program", n)
		}
	})
}

// TestWriteOnlyRefused: what would return or compare a sealed value, or seal one elsewhere, is refused before it is sent.
func TestWriteOnlyRefused(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		o.exec(t, "GRANT SELECT ON forms TO "+o.writer.name) // so that nothing but the driver refuses
		ctx := t.Context()
		form := o.form(t)
		for _, query := range []string{
			"SELECT tax FROM forms", "SELECT * FROM forms", "INSERT INTO forms (tax) VALUES ($1) RETURNING tax",
			"INSERT INTO forms (note) VALUES ($1)", "INSERT INTO forms (note) VALUES ('x')", "INSERT INTO forms (mail) VALUES ($1)",
			"UPDATE forms SET tax = $1 WHERE mail = 'a'", "SELECT id FROM forms WHERE mail = $1", "SELECT count(*) FROM forms GROUP BY mail",
			"SELECT a.id FROM forms a JOIN forms b USING (mail)", "UPDATE forms SET note = $1",
		} {
			rows, err := form.QueryContext(ctx, query, []any{"x"}[:min(1, dollars(query))]...)
			if err == nil {
				_ = rows.Close()
				err = rows.Err()
			}
			var refusal *driver.QueryError
			if !errors.Is(err, driver.ErrWriteOnly) || !errors.Is(err, driver.ErrRefused) || !errors.As(err, &refusal) || refusal.Hint == "" {
				t.Errorf("%s: %v, want a refusal of ErrWriteOnly", query, err)
			}
		}
		conn := must[*sql.Conn](t)(form.Conn(ctx))
		defer func() { _ = conn.Close() }()
		if _, err := driver.CopyFrom(ctx, conn, "forms", []string{"note"}, [][]any{{"x"}}); !errors.Is(err, driver.ErrWriteOnly) {
			t.Errorf("COPY into note: %v, want ErrWriteOnly", err)
		}
		for _, query := range []string{"SELECT id, name FROM forms", "SELECT count(*) FROM forms", "DELETE FROM forms WHERE tax IS NULL AND name = 'nobody'"} {
			if _, err := form.ExecContext(ctx, query); err != nil && !errors.Is(err, driver.ErrWriteOnly) && query[0] == 'D' {
				continue // the role may not delete
			} else if err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		if n := len(o.keys(t, keyring.Filter{})); n != 1 {
			t.Errorf("%d keys, want the inbox only: a refused statement makes no key", n)
		}
	})
}

func dollars(query string) (n int) {
	for _, r := range query {
		if r == '$' {
			n++
		}
	}
	return n
}

// TestTakenOverWriter: whoever has a write-only process's memory, role and rights at KMS opens what that process sealed under
// the key it still holds, and nothing else: nothing of other writers, nothing of before, nothing of ordinary programs.
func TestTakenOverWriter(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		ctx := t.Context()
		o.insert(t, o.reader, "tax", "ordinary")
		o.insert(t, o.form(t), "tax", "another writer")

		attacker := must[*sql.DB](t)(sql.Open("pgx", o.writer.dsn))
		defer func() { _ = attacker.Close() }()
		store := keyring.OpenStore(attacker, keyring.DialectPostgres, "")
		col := keycache.Column{Identity: "forms.tax", Suite: codec.SuiteRandomized, Inbox: true}
		taken := keycache.NewWriter(store, []string{o.inbox.Pin()}, keycache.Config{MaxSeals: 2}, col)
		defer func() { _ = taken.Close() }()
		seal := func(text string) {
			t.Helper()
			key := must[*codec.Key](t)(taken.Sealer(ctx, col, 1))
			cell := must[[]byte](t)(key.Seal(nil, codec.KindText, []byte(text)))
			must[sql.Result](t)(attacker.ExecContext(ctx, "INSERT INTO forms (name, tax) VALUES ($1, $2)", text, cell))
		}
		seal("before")
		seal("before, too")
		seal("held") // under the next key: there are two seals in one

		// The role reads the whole keyring, and another process of its own comes by no key. KMS gives it none.
		none := must[kms.Wrapper](t)(localkms.Open(t.TempDir() + "/kek"))
		caches := map[string]*keycache.Cache{
			"the process":       taken,
			"another process":   keycache.NewWriter(store, []string{o.inbox.Pin()}, keycache.Config{}, col),
			"an ordinary cache": keycache.New(store, none, keycache.Config{}, col),
		}
		rows := must[*sql.Rows](t)(pg.Admin.QueryContext(ctx, "SELECT name, tax FROM forms"))
		defer func() { _ = rows.Close() }()
		opened := map[string]string{}
		for rows.Next() {
			var name string
			var cell []byte
			must[any](t)(nil, rows.Scan(&name, &cell))
			h := must[codec.Header](t)(codec.ParseHeader(cell))
			for who, c := range caches {
				key, err := c.Opener(ctx, col, h.KeyID)
				if err != nil {
					continue
				}
				if _, err := key.Open(nil, codec.KindText, cell); err == nil {
					opened[name] += who
				}
			}
		}
		must[any](t)(nil, rows.Err())
		if len(opened) != 1 || opened["held"] != "the process" {
			t.Errorf("opened %v, want what the process holds the key of", opened)
		}
		if n := o.count(t, o.reader); n != 5 {
			t.Errorf("the reader reads %d of 5 forms", n)
		}

		// The role can neither change nor stop a key.
		for _, query := range []string{
			"UPDATE colseal_keys SET public = NULL", "UPDATE colseal_keys SET seals_reserved = 1", "DELETE FROM colseal_keys",
			"INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, seals_reserved, destroyed_at) VALUES (9, 'data', '', 9, '', 0, now())",
		} {
			if _, err := attacker.ExecContext(ctx, query); err == nil {
				t.Errorf("the role may: %s", query)
			}
		}
	})
}

func (o *office) insert(t *testing.T, db *sql.DB, column, value string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO forms (name, "+column+") VALUES ($1, $2)", value, value); err != nil {
		t.Fatal(err)
	}
}

// count reads every form.
func (o *office) count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	rows := must[*sql.Rows](t)(db.QueryContext(t.Context(), "SELECT tax FROM forms"))
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var tax sql.NullString
		if err := rows.Scan(&tax); err != nil {
			t.Error(err)
			continue
		}
		n++
	}
	return n
}

// TestForeignInbox: whoever owns the keyring's table, and puts in an inbox whose private key they have, or changes the public
// key of the one that is there, reads nothing.
func TestForeignInbox(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		ctx := t.Context()
		private := must[*inbox.Private](t)(inbox.NewPrivate(inbox.X25519, make([]byte, inbox.SeedSize)))
		foreign := keyring.Key{ID: 77, Keyring: o.inbox.Keyring, Purpose: keyring.PurposeInbox, Epoch: 2, Public: private.Public(),
			Wrapped: kms.Wrapped{KeyID: "theirs", Blob: []byte("theirs")}}
		if ok, err := o.store(t).Insert(ctx, foreign); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, value := range []string{"1", "2"} { // by two processes
			o.insert(t, o.form(t), "tax", value)
		}
		for _, k := range o.keys(t, keyring.Filter{Purpose: keyring.PurposeWriter}) {
			if k.WrappedTo != o.inbox.ID {
				t.Errorf("key %08x is encrypted to %08x", k.ID, k.WrappedTo)
			}
			as := k
			as.WrappedTo = foreign.ID
			if _, err := as.OpenedBy(foreign, private); err == nil {
				t.Errorf("the foreign inbox opens key %08x", k.ID)
			}
		}
		if n := o.count(t, o.reader); n != 2 {
			t.Errorf("%d of 2 forms were read", n)
		}

		o.exec(t, "UPDATE colseal_keys SET public = $1 WHERE key_id = $2", private.Public(), int64(o.inbox.ID))
		before := len(o.keys(t, keyring.Filter{Purpose: keyring.PurposeWriter}))
		_, err := o.form(t).ExecContext(ctx, "INSERT INTO forms (tax) VALUES ($1)", "3")
		if !errors.Is(err, driver.ErrNoInbox) {
			t.Errorf("with another public key in the row: %v, want ErrNoInbox", err)
		}
		if n := len(o.keys(t, keyring.Filter{Purpose: keyring.PurposeWriter})); n != before {
			t.Errorf("%d writers' keys, want %d", n, before)
		}
		o.exec(t, "UPDATE colseal_keys SET purpose = 'inbox', scope = 'other', epoch = 1, public = $1 WHERE key_id = $2", o.inbox.Public, int64(o.inbox.ID))
		_, err = o.form(t).ExecContext(keyring.WithScope(ctx, "other"), "INSERT INTO forms (tax) VALUES ($1)", "3")
		if !errors.Is(err, driver.ErrNoInbox) {
			t.Errorf("the inbox of another scope: %v, want ErrNoInbox", err)
		}
	})
}

// TestForgedCells: a cell under a writer's key is refused in every column without inbox, whatever the writer says of it.
func TestForgedCells(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		ctx := t.Context()
		store := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "")
		for _, c := range []struct {
			column string
			opens  bool
		}{{"tax", true}, {"note", false}, {"mail", false}} {
			col := keycache.Column{Identity: "forms." + c.column, Suite: codec.SuiteRandomized, Inbox: true}
			forger := keycache.NewWriter(store, []string{o.inbox.Pin()}, keycache.Config{}, col)
			key := must[*codec.Key](t)(forger.Sealer(ctx, col, 1))
			cell := must[[]byte](t)(key.Seal(nil, codec.KindText, []byte("forged")))
			must[any](t)(nil, forger.Close())
			o.exec(t, "DELETE FROM forms")
			o.exec(t, "INSERT INTO forms ("+c.column+") VALUES ($1)", cell)
			for name, db := range map[string]*sql.DB{"a running program": o.reader,
				"another one": o.program(t, pg.DSN(), driver.Config{KMS: awskms.New(o.kms.Client(t), alias)})} {
				var got string
				err := db.QueryRowContext(ctx, "SELECT "+c.column+" FROM forms").Scan(&got)
				if c.opens && (err != nil || got != "forged") {
					t.Errorf("%s, %s: %q, %v", c.column, name, got, err)
				}
				if !c.opens && (got != "" || !errors.Is(err, driver.ErrAuth)) {
					t.Errorf("%s, %s: %q, %v, want ErrAuth", c.column, name, got, err)
				}
			}
		}
	})
}

// TestInboxLife: an inbox is replaced, revoked, rewrapped, adopted and destroyed, and what writers sealed opens until the last of these.
func TestInboxLife(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		ctx := t.Context()
		admin := o.admin(t)
		o.insert(t, o.form(t), "tax", "1")
		if _, err := admin.Revoke(ctx, o.inbox.ID, "why"); !errors.Is(err, keyring.ErrKeyInUse) {
			t.Errorf("revoke the only inbox: %v, want ErrKeyInUse", err)
		}
		first := o.inbox
		o.inbox = must[keyring.Key](t)(admin.Inbox(ctx, "", keyring.KEMP256))
		o.insert(t, o.form(t), "tax", "2")
		both := o.program(t, o.writer.dsn, driver.Config{WriteOnly: &driver.Inbox{Pins: []string{first.Pin(), o.inbox.Pin()}}})
		o.insert(t, both, "tax", "3")
		must[keyring.Key](t)(admin.Revoke(ctx, first.ID, "replaced"))
		_, err := o.program(t, o.writer.dsn, driver.Config{WriteOnly: &driver.Inbox{Pins: []string{first.Pin()}}}).ExecContext(ctx, "INSERT INTO forms (tax) VALUES ($1)", "4")
		if !errors.Is(err, driver.ErrNoInbox) {
			t.Errorf("a program with the pin of a revoked inbox: %v, want ErrNoInbox", err)
		}
		writers := o.keys(t, keyring.Filter{Purpose: keyring.PurposeWriter})
		if len(writers) != 3 {
			t.Fatalf("%d writers' keys, want 3", len(writers))
		}
		if _, err := admin.Retire(ctx, writers[0].ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
			t.Errorf("retire a writer's key: %v, want ErrKeyInUse", err)
		}
		if k := must[keyring.Key](t)(admin.Revoke(ctx, writers[0].ID, "why")); k.State != keyring.StateRevoked {
			t.Errorf("a writer's key is %s, want revoked", k.State)
		}
		opens := func(when string) {
			t.Helper()
			if n := o.count(t, o.program(t, pg.DSN(), driver.Config{KMS: awskms.New(o.kms.Client(t), alias)})); n != 3 {
				t.Errorf("%s: %d of 3 forms were read", when, n)
			}
		}
		opens("after revoking")
		report := must[keyring.RewrapReport](t)(admin.Rewrap(ctx, keyring.RewrapOptions{Force: true}))
		if report.Total != 2 || report.Rewrapped != 2 {
			t.Errorf("rewrapped %d of %d keys, want the 2 inboxes", report.Rewrapped, report.Total)
		}
		opens("after rewrapping")
		adopted := must[keyring.AdoptReport](t)(admin.Adopt(ctx, "a copy", keyring.AdoptOptions{}))
		if adopted.Keys != 5 {
			t.Errorf("adopted %d keys, want 5", adopted.Keys)
		}
		opens("after adopting")
		must[[]keyring.Key](t)(admin.DestroyDefault(ctx, "why"))
		err = o.program(t, pg.DSN(), driver.Config{KMS: awskms.New(o.kms.Client(t), alias)}).QueryRowContext(ctx, "SELECT tax FROM forms").Scan(new(string))
		if !errors.Is(err, driver.ErrKeyDestroyed) {
			t.Errorf("after destroying: %v, want ErrKeyDestroyed", err)
		}
		_, err = o.form(t).ExecContext(context.Background(), "INSERT INTO forms (tax) VALUES ($1)", "5")
		if !errors.Is(err, driver.ErrKeyDestroyed) {
			t.Errorf("sealing in a destroyed scope: %v, want ErrKeyDestroyed", err)
		}
	})
}

// TestFilledRing: whoever may only insert rows puts in thousands of inboxes, and stops no writer and no operator's check.
func TestFilledRing(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		attacker := must[*sql.DB](t)(sql.Open("pgx", o.writer.dsn))
		defer func() { _ = attacker.Close() }()
		must[sql.Result](t)(attacker.ExecContext(t.Context(), "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, public, seals_reserved)"+
			" SELECT 1000000 + n, 'inbox', '', n, 'theirs', 'x', $1, 0 FROM generate_series(2, 5000) n", o.inbox.Public))
		o.insert(t, o.form(t), "tax", "1")
		for _, k := range o.keys(t, keyring.Filter{Purpose: keyring.PurposeWriter}) {
			if k.WrappedTo != o.inbox.ID {
				t.Errorf("encrypted to %08x, want %08x", k.WrappedTo, o.inbox.ID)
			}
		}
		if n := o.count(t, o.reader); n != 1 {
			t.Errorf("%d of 1 forms were read", n)
		}
		if err := o.admin(t).CheckInbox(t.Context(), o.inbox); err != nil {
			t.Error(err)
		}
	})
}

// TestInboxIsChecked: the owner of the keyring puts their public key into the row of an inbox, as it is made or later. No operator
// hands its pin on.
func TestInboxIsChecked(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		o := newOffice(t, pg)
		ctx := t.Context()
		private := must[*inbox.Private](t)(inbox.NewPrivate(inbox.X25519, make([]byte, inbox.SeedSize)))
		admin := o.admin(t)
		if err := admin.CheckInbox(ctx, o.inbox); err != nil {
			t.Errorf("the inbox: %v", err)
		}
		o.exec(t, "UPDATE colseal_keys SET public = $1 WHERE key_id = $2", private.Public(), int64(o.inbox.ID))
		changed := o.keys(t, keyring.Filter{Purpose: keyring.PurposeInbox})
		if len(changed) != 1 || changed[0].Invalid != nil {
			t.Fatal(changed)
		}
		if err := admin.CheckInbox(ctx, changed[0]); !errors.Is(err, keyring.ErrKeyInvalid) {
			t.Errorf("with another public key: %v, want ErrKeyInvalid", err)
		}
		o.exec(t, fmt.Sprintf(`CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.purpose = 'inbox' THEN NEW.public = '\x%x'; END IF; RETURN NEW; END $$`, private.Public()))
		o.exec(t, "CREATE TRIGGER theirs BEFORE INSERT ON colseal_keys FOR EACH ROW EXECUTE FUNCTION theirs()")
		if k, err := admin.Inbox(ctx, "", ""); !errors.Is(err, keyring.ErrKeyInvalid) {
			t.Errorf("made under a trigger: %s, %v, want ErrKeyInvalid", k.Pin(), err)
		}
	})
}
