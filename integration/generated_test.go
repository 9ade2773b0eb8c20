package integration

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// PostgreSQL counts generated columns among those that an INSERT without a column list fills, and takes DEFAULT alone
// for one. RETURNING * yields the target's columns and those of the items beside it. The sealed table gives what its
// twin gives, rows and errors alike.
func TestGeneratedColumns(t *testing.T) {
	const table = `CREATE TABLE %s.made (id bigint PRIMARY KEY, up bigint GENERATED ALWAYS AS (id * 2) STORED, mail %s, n bigint GENERATED ALWAYS AS IDENTITY, tag text)`
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		twin := pg.Admin
		mustExec(t, twin, "CREATE SCHEMA twin")
		mustExec(t, twin, fmt.Sprintf(table, "public", "bytea"))
		mustExec(t, twin, fmt.Sprintf(table, "twin", "text"))
		sealed := sealedDB(t, pg, schema.Must(schema.Columns("public.made", schema.Column{Name: "mail", Mode: schema.ModeDeterministic})))
		for _, q := range []string{
			"INSERT INTO made VALUES (1, DEFAULT, 'a@x', DEFAULT, 't') RETURNING *",
			"INSERT INTO made VALUES (2, DEFAULT, 'b@x'), (3, DEFAULT, NULL) RETURNING up, mail, n, tag",
			"INSERT INTO made VALUES (4, 8, 'c@x')",
			"INSERT INTO made VALUES (5, DEFAULT, 'c@x', 7)",
			"INSERT INTO made VALUES (6)",
			"INSERT INTO made SELECT 7, 14, 'c@x'",
			"INSERT INTO made SELECT 8",
			"INSERT INTO made (id, mail) SELECT id + 100, mail FROM made WHERE id <= 2 RETURNING *",
			"MERGE INTO made m USING (VALUES (1::bigint), (20)) v(i) ON m.id = v.i WHEN MATCHED THEN UPDATE SET mail = 'e@x' WHEN NOT MATCHED THEN INSERT VALUES (i, DEFAULT, 'f@x')",
			"MERGE INTO made m USING (VALUES (30::bigint)) v(i) ON m.id = v.i WHEN NOT MATCHED THEN INSERT VALUES (i, 60, 'f@x')",
			"UPDATE made m SET mail = v.e FROM (VALUES (2::bigint, 'g@x'::text)) v(i, e) WHERE m.id = v.i RETURNING *",
			"UPDATE made m SET tag = 'u' FROM made o WHERE m.id = o.id AND o.mail = 'g@x' RETURNING *, o.tag",
			"UPDATE made SET up = 1 WHERE id = 2",
			"DELETE FROM made m USING made o WHERE m.id = o.id AND m.mail = 'b@x' RETURNING *",
			"SELECT * FROM made ORDER BY id",
		} {
			got, err := rowsOf(sealed, q)
			want, wantErr := rowsOf(twin, strings.ReplaceAll(q, "made ", "twin.made "))
			if codeOf(err) != codeOf(wantErr) || got != want {
				t.Errorf("%s:\n got %s, %v\nwant %s, %v", q, got, err, want, wantErr)
			}
		}
		t.Run("COPY", func(t *testing.T) {
			conn, err := sealed.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := driver.CopyFrom(t.Context(), conn, "made", []string{"id", "up", "mail"}, [][]any{{50, 100, "h@x"}}); codeOf(err) != "42P10" {
				t.Errorf("a generated column is copied: %v", err)
			}
			if n, err := driver.CopyFrom(t.Context(), conn, "made", []string{"id", "mail"}, [][]any{{51, "i@x"}}); err != nil || n != 1 {
				t.Error(n, err)
			}
			if got := scanOne[string](t, sealed, "SELECT mail FROM made WHERE up = 102"); got != "i@x" {
				t.Errorf("read %q", got)
			}
		})
	})
}

// codeOf returns the SQLSTATE of an error, or its text when it has none.
func codeOf(err error) string {
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &pgErr):
		return pgErr.Code
	}
	return err.Error()
}

// rowsOf returns the rows of a query with their labels.
func rowsOf(db *sql.DB, query string) (string, error) {
	rs, err := db.Query(query)
	if err != nil {
		return "", err
	}
	defer func() { _ = rs.Close() }()
	labels, err := rs.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintln(&b, labels)
	for rs.Next() {
		vals, ptrs := make([]any, len(labels)), make([]any, len(labels))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rs.Scan(ptrs...); err != nil {
			return "", err
		}
		fmt.Fprintln(&b, vals)
	}
	return b.String(), rs.Err()
}
