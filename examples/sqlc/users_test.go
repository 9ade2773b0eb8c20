package sqlc

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/examples/sqlc/db"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/pgxseal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// What sqlc generates takes pools, connections and transactions with sealed columns.
var (
	_ db.DBTX = (*pgxseal.Pool)(nil)
	_ db.DBTX = (*pgxseal.Conn)(nil)
	_ db.DBTX = (*pgxseal.Tx)(nil)
)

func text(s string) pgtype.Text { return pgtype.Text{String: s, Valid: true} }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestGenerated runs every kind of query that sqlc makes for pgx.
func TestGenerated(t *testing.T) {
	ctx := t.Context()
	server := pgtest.New(t)
	if _, err := server.Admin.Exec(DDL); err != nil {
		t.Fatal(err)
	}
	key := must[*localkms.Wrapper](t)(localkms.Open(filepath.Join(t.TempDir(), "kek")))
	pool, q, err := Open(ctx, server.DSN(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()

	born := pgtype.Date{Time: time.Date(1984, 3, 9, 0, 0, 0, 0, time.UTC), Valid: true}
	var income pgtype.Numeric
	if err := income.Scan("1234.50"); err != nil {
		t.Fatal(err)
	}
	ana := must[db.User](t)(q.CreateUser(ctx, db.CreateUserParams{ID: 1, Email: text("ana@example.com"), Ssn: text("078-05-1120"), Born: born, Income: income, Note: "vip"}))
	if got := must[db.User](t)(q.GetUser(ctx, text("ana@example.com"))); fmt.Sprint(got.Born, got.Ssn, got.Note) != fmt.Sprint(ana.Born, ana.Ssn, "vip") || got.Income.Int.Int64() != 123450 {
		t.Errorf(":one: %+v, want %+v", got, ana)
	}
	if n := must[int64](t)(q.SetSSN(ctx, db.SetSSNParams{ID: 1, Ssn: text("new")})); n != 1 {
		t.Errorf(":execrows: %d", n)
	}

	var failed []int
	q.CreateUserBatch(ctx, []db.CreateUserBatchParams{{ID: 2, Email: text("b@x"), Ssn: text("2")}, {ID: 3, Email: text("c@x")}}).Exec(func(i int, err error) {
		if err != nil {
			failed = append(failed, i)
		}
	})
	var ssns []string
	q.SSNBatch(ctx, []pgtype.Text{text("ana@example.com"), text("b@x"), text("c@x")}).QueryRow(func(_ int, ssn pgtype.Text, err error) {
		ssns = append(ssns, fmt.Sprint(ssn.String, err))
	})
	if len(failed) > 0 || !slices.Equal(ssns, []string{"new<nil>", "2<nil>", "<nil>"}) {
		t.Errorf(":batchexec failed for %v, :batchone gave %v", failed, ssns)
	}
	q.NotesBatch(ctx, []string{"vip", ""}).Query(func(i int, rows []db.NotesBatchRow, err error) {
		if err != nil || len(rows) != i+1 {
			t.Errorf(":batchmany: %v, %v", rows, err)
		}
	})

	if n := must[int64](t)(q.CopyUsers(ctx, []db.CopyUsersParams{{ID: 10, Email: text("d@x"), Born: born}, {ID: 11, Ssn: text("11")}})); n != 2 {
		t.Errorf(":copyfrom: %d", n)
	}
	if rows := must[[]db.ListUsersRow](t)(q.ListUsers(ctx, []string{"d@x", "b@x"})); len(rows) != 2 || rows[1].Email != text("d@x") {
		t.Errorf(":many: %v", rows)
	}

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return q.WithTx(tx).DeleteUser(context.WithoutCancel(ctx), text("b@x")) })
	if err != nil {
		t.Errorf(":exec: %v", err)
	}

	var cells, all int
	//colseal:ignore the administrator looks at the cells
	if err := server.Admin.QueryRow("SELECT count(*) FILTER (WHERE get_byte(email, 0) = 1), count(email) FROM users").Scan(&cells, &all); err != nil || cells != 3 || all != 3 {
		t.Errorf("%d of %d emails are cells, %v", cells, all, err)
	}
}
