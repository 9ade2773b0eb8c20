package shapes

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", for the keyring

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
)

// twoKeys is a pair whose rows are sealed under two search keys that are both live: those
// with odd ids under the first, those with even ids under the second.
type twoKeys struct {
	pair
	db  *pgtest.DB
	kms kms.Wrapper
}

func newTwoKeys(t *testing.T, db *pgtest.DB, f front, storage string) *twoKeys {
	t.Helper()
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db.Admin, fmt.Sprintf(ddl, storage, storage)+plainDDL)
	p := &twoKeys{pair: pair{canaries: newCanaries()}, db: db, kms: w}
	p.twin = newTwin(t, db, f, db.Name, p.canaries)
	p.connect(t, databaseSQL)
	p.fill(t)
	first := p.sealed.db
	p.rotate(t)
	p.sealsFrom(t, db.Admin, "now() - interval '1 hour'")
	p.connect(t, databaseSQL)
	for _, q := range []string{"users SET email", "archive SET email", "leads SET email", "leads SET phone"} {
		p.reseal(t, first, q)
	}
	var ids int
	if err := db.Admin.QueryRow("SELECT count(*) FROM colseal_keys WHERE purpose = 'search' AND retired_at IS NULL").Scan(&ids); err != nil || ids != 2 {
		t.Fatal("live search keys: ", ids, err)
	}
	p.connect(t, f)
	return p
}

// connect makes the sealed side a new process, which reads the keyring as it is now.
func (p *twoKeys) connect(t *testing.T, f front) {
	t.Helper()
	p.sealed = newSealed(t, p.db, f, p.db.Name, p.canaries, p.kms)
}

// rotate makes a second search key live.
func (p *twoKeys) rotate(t *testing.T) {
	t.Helper()
	pool, err := sql.Open("pgx", p.db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	admin := keyring.NewAdmin(keyring.OpenStore(pool, keyring.DialectPostgres, ""), p.kms, keyring.AdminConfig{})
	if _, err := admin.Rotate(t.Context(), keyring.PurposeSearch, ""); err != nil {
		t.Fatal(err)
	}
}

// sealsFrom sets when the second search key begins to seal.
func (p *twoKeys) sealsFrom(t *testing.T, admin *sql.DB, when string) {
	t.Helper()
	exec(t, admin, "UPDATE colseal_keys SET seals_from = "+when+", created_at = "+when+" - interval '2 hours' WHERE purpose = 'search' AND epoch = 2")
}

// reseal writes the values of the rows with even ids, which first reads, again. target is
// a table and a column.
func (p *twoKeys) reseal(t *testing.T, first *sql.DB, target string) {
	t.Helper()
	table, column, _ := strings.Cut(target, " SET ")
	rs, err := first.Query("SELECT id, " + column + " FROM " + table + " WHERE id % 2 = 0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rs.Close() }()
	for rs.Next() {
		var id int64
		var v any
		if err := rs.Scan(&id, &v); err != nil {
			t.Fatal(err)
		}
		if _, err := p.sealed.db.Exec("UPDATE "+target+" = $1 WHERE id = $2", v, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
}

// mustWork are the shapes that nothing but several search keys in one comparison answers. Every
// other shape works, or is refused until the change of the search key is over.
var mustWork = []string{
	"equal", "equal under an alias", "in", "any", "any cast", "any of none", "any of an array", "any of a cast array",
	"any of a literal", "not equal", "not in with NULL", "distinct from", "not distinct from NULL",
	"distinct from a cast NULL", "rows", "number", "in values", "any of NULLs", "view", "bool", "count", "delete",
	"optional filter", "optional filter, NULL", "optional list", "optional list, NULL", "optional by empty",
	"optional by empty cast", "optional by coalesce", "the parameter in the result", "the parameter in a branch",
	"update with a CTE", "several statements", "simple case", "nullif", "nullif of nothing", "a case in a case", "insert moves rows",
}

// Every shape is right on rows under two live search keys, or is refused until the change
// is over.
func TestTwoSearchKeys(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		storage := "bytea"
		if db.Version >= 17 {
			storage = "text"
		}
		for _, f := range fronts {
			t.Run(string(f), func(t *testing.T) { shapesOfTwoKeys(t, db, f, storage) })
			exec(t, db.Admin, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA other, cron CASCADE")
		}
	})
}

func shapesOfTwoKeys(t *testing.T, db *pgtest.DB, f front, storage string) {
	p := newTwoKeys(t, db, f, storage)
	for _, s := range allShapes() {
		if db.Version >= s.since {
			t.Run(s.name, func(t *testing.T) { p.checkMeanwhile(t, s) })
		}
	}
	// The second key is searched for before it seals.
	p.sealsFrom(t, db.Admin, "now() + interval '1 hour'")
	p.connect(t, f)
	for _, s := range slices.Concat(predicates, rolesOfParameters) {
		t.Run("next: "+s.name, func(t *testing.T) { p.checkMeanwhile(t, s) })
	}
}

func (p *twoKeys) checkMeanwhile(t *testing.T, s shape) {
	t.Helper()
	switch {
	case s.want == refused:
		p.check(t, s)
		return
	case s.name == "a duplicate": // two cells under two keys are no duplicates to the server
		return
	case strings.HasPrefix(s.sql, "EXPLAIN"): // what the planner chooses depends on its statistics
		return
	}
	sealed := p.sealed.run(s.sql, p.in(s.args), s.how())
	if p.leaks(sealed.sent) && !s.open {
		t.Errorf("%s\nsends plaintext of a sealed column (%v)", s.sql, sealed.err)
	}
	if sealed.code == "REFUSED" && strings.Contains(sealed.err.Error(), "two search keys") && !slices.Contains(mustWork, s.name) {
		return
	}
	if d := differ(sealed, p.twin.run(s.sql, p.in(s.args), s.how())); d != "" {
		t.Errorf("%s\n%s", s.sql, d)
	}
}

// Random statements, on rows under two live search keys.
func TestTwoSearchKeysRandom(t *testing.T) {
	n, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.New(t)
	p := newTwoKeys(t, db, databaseSQL, "bytea")
	// A unique column does not see that two cells hold the same.
	exec(t, p.twin.db, "ALTER TABLE pg_temp.users DROP CONSTRAINT users_email_key")
	exec(t, p.sealed.db, "ALTER TABLE users DROP CONSTRAINT users_email_key")
	s := newShares()
	p.random(t, n, statements(db.Version, shards), s)
	s.report(t, n, 3)
	for why := range s.reasons {
		if strings.Contains(why, "two search keys") {
			return
		}
	}
	t.Error("nothing was refused because two search keys are live")
}

// The ways to run a statement make no difference.
func TestTwoSearchKeysModes(t *testing.T) {
	p := newTwoKeys(t, pgtest.New(t), databaseSQL, "bytea")
	const byEmail = "SELECT id FROM users WHERE email IN ($1,$2) AND email <> ALL($3) ORDER BY id"
	want := []string{"id=1|", "id=2|"}
	check := func(name string, query string, args ...any) {
		t.Helper()
		for range 2 { // the second time from a cache, where there is one
			if got, err := read(p.sealed.db, query, args...); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	values := p.in([]any{a, b, []string{"zqcanary-e"}})
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		check(mode.String(), byEmail, append([]any{mode}, values...)...)
	}
	check("named", "SELECT id FROM users WHERE email IN (@a,@b) AND email <> ALL(@c) ORDER BY id",
		pgx.NamedArgs{"a": values[0], "b": values[1], "c": values[2]})
	st, err := p.sealed.db.Prepare(byEmail)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	var ids []int64
	rs, err := st.Query(values...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rs.Close() }()
	for rs.Next() {
		var id int64
		if err := rs.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rs.Err(); err != nil || !slices.Equal(ids, []int64{1, 2}) {
		t.Error("prepared: ", ids, err)
	}
}
