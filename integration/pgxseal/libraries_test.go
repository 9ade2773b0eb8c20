package pgxseal_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/Masterminds/squirrel"
	"github.com/georgysavva/scany/v2/pgxscan"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/pgxseal"
)

// TestScany: what scany reads by name through a pool and a transaction.
func TestScany(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	ctx := t.Context()
	for i := range 3 {
		_, err := pool.Exec(ctx, "INSERT INTO users (id, email, ssn, note) VALUES ($1, $2, $3, 'n')", i, fmt.Sprint(secret, i), "s")
		must(t, err)
	}
	type account struct {
		ID    int64
		Email string
		SSN   *string `db:"ssn"`
		Note  string
	}
	var all []*account
	must(t, pgxscan.Select(ctx, pool, &all, "SELECT * FROM users ORDER BY id"))
	var one account
	must(t, pgxscan.Get(ctx, pool, &one, "SELECT id, email FROM users WHERE email = $1", secret+"1"))
	if len(all) != 3 || all[2].Email != secret+"2" || *all[0].SSN != "s" || one.ID != 1 || one.Email != secret+"1" {
		t.Errorf("read %v and %v", all, one)
	}
	err := pgxscan.Get(ctx, pool, &one, "SELECT id, email FROM users WHERE email = $1", "nobody")
	if !pgxscan.NotFound(err) {
		t.Errorf("no row: %v", err)
	}
	must(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var emails []string
		err := pgxscan.Select(ctx, tx, &emails, "SELECT email FROM users WHERE email = ANY($1)", []string{secret + "0", secret + "2"})
		if len(emails) != 2 {
			t.Errorf("read %v", emails)
		}
		return err
	}))
}

// TestSquirrel: statements that squirrel builds.
func TestSquirrel(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	ctx := t.Context()
	build := squirrel.StatementBuilder.PlaceholderFormat(squirrel.Dollar)
	send := func(s squirrel.Sqlizer) {
		t.Helper()
		query, args, err := s.ToSql()
		must(t, err)
		_, err = pool.Exec(ctx, query, args...)
		must(t, err)
	}
	send(build.Insert("users").Columns("id", "email", "ssn").Values(1, secret, "1").Values(2, nil, "2").Suffix("ON CONFLICT (id) DO NOTHING"))
	send(build.Update("users").Set("ssn", "again").SetMap(map[string]any{"note": "n"}).Where(squirrel.Eq{"email": []string{secret, "x"}}))
	query, args, err := build.Select("u.email", "u.ssn").From("users u").Where(squirrel.And{squirrel.Eq{"u.email": secret}, squirrel.NotEq{"u.ssn": nil}}).Limit(5).ToSql()
	must(t, err)
	var email, ssn string
	must(t, pool.QueryRow(ctx, query, args...).Scan(&email, &ssn))
	if email != secret || ssn != "again" {
		t.Errorf("read %q, %q", email, ssn)
	}
	query, args, err = build.Select("id").From("users").Where(squirrel.Like{"email": "z%"}).ToSql()
	must(t, err)
	_, err = pool.Query(ctx, query, args...)
	wantRefused(t, "LIKE", err)
}

// cents is a type of the program's for numerics, as it is registered on the connection.
type cents int64

func (c cents) NumericValue() (pgtype.Numeric, error) {
	var n pgtype.Numeric
	err := n.Scan(fmt.Sprintf("%d.%02d", c/100, c%100))
	return n, err
}

func (c *cents) ScanNumeric(n pgtype.Numeric) error {
	f, err := n.Float64Value()
	*c = cents(f.Float64*100 + 0.5)
	return err
}

// upper is a codec of the program's for text, which writes capitals.
type upper struct{ pgtype.TextCodec }

func (upper) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	return pgtype.TextCodec{}.PlanEncode(m, oid, format, value)
}

func (upper) DecodeValue(*pgtype.Map, uint32, int16, []byte) (any, error) {
	return "decoded by the program", nil
}

// TestTypesOfTheProgram: types that are registered on the connection, and types with pgtype's methods, are taken for sealed columns.
func TestTypesOfTheProgram(t *testing.T) {
	server := sealedTables(t)
	c, err := pgxseal.Connect(t.Context(), server.DSN(), sealConfig(t))
	must(t, err)
	defer func() { _ = c.Close(context.Background()) }()
	_, err = c.Exec(t.Context(), "INSERT INTO kinds (id, n, t) VALUES (1, $1, 'x')", cents(1234))
	must(t, err)
	var got cents
	var text string
	must(t, c.QueryRow(t.Context(), "SELECT n, n FROM kinds").Scan(&got, &text))
	if got != 1234 || text != "12.34" {
		t.Errorf("read %d, %s", got, text)
	}
	c.TypeMap().RegisterType(&pgtype.Type{Name: "text", OID: pgtype.TextOID, Codec: upper{}})
	rows, err := c.Query(t.Context(), "SELECT t FROM kinds")
	must(t, err)
	maps, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil || maps[0]["t"] != "decoded by the program" {
		t.Errorf("%v, %v", maps, err)
	}
	must(t, c.Ping(t.Context()))
	if typ, err := c.LoadType(t.Context(), "_int8"); err != nil || typ.OID != pgtype.Int8ArrayOID || c.IsClosed() || c.Config() == nil {
		t.Errorf("%v, %v", typ, err)
	}
}
