package integration

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// modeCase is something that a program does. It begins with two people in the table, and returns what it read.
type modeCase struct {
	name   string
	run    func(db *sql.DB) (string, error)
	pgOnly bool // PostgreSQL's SQL, or pgx's Go
}

var noon = time.Date(1984, 2, 29, 12, 0, 0, 123456000, time.UTC)

const (
	insertPerson = "INSERT INTO people (id, email, ssn, age, note) VALUES ($1, $2, $3, $4, $5)"
	uidText      = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
)

func seedPeople(db *sql.DB) error {
	for _, row := range [][]any{{1, "a@x", "078-05-1120", 42, "first"}, {2, "b@x", nil, nil, nil}} {
		if _, err := db.Exec(insertPerson, row...); err != nil {
			return err
		}
	}
	return nil
}

// ids reads one column of numbers.
func ids(q interface {
	Query(string, ...any) (*sql.Rows, error)
}, query string, args ...any) (string, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	var all []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return "", err
		}
		all = append(all, id)
	}
	return fmt.Sprint(all), rows.Err()
}

// selects is a case that reads ids.
func selects(query string, args ...any) func(*sql.DB) (string, error) {
	return func(db *sql.DB) (string, error) { return ids(db, query, args...) }
}

// does is a case that executes and counts.
func does(query string, args ...any) func(*sql.DB) (string, error) {
	return func(db *sql.DB) (string, error) {
		res, err := db.Exec(query, args...)
		if err != nil {
			return "", err
		}
		n, err := res.RowsAffected()
		return fmt.Sprint(n, " rows"), err
	}
}

// shout is a Valuer, as a value and as a pointer.
type shout struct{ s string }

func (s shout) Value() (sqldriver.Value, error) { return s.s + "!", nil }

func ptr[T any](v T) *T { return &v }

const insertAll = `INSERT INTO people (id, email, ssn, age, score, ok, born, doc, uid, amount, tags, nums, raw, note)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

var modeCases = []modeCase{
	{"insert every kind", does(insertAll, 3, "c@x", "ssn", 7, 1.5, true, noon, `{"a": [1, null, "x"]}`, uidText, "12.50",
		`{a,"b c",NULL}`, `{1,2,NULL}`, []byte{0, 1, 255}, "note"), false},
	{"insert every kind as NULL", does(insertAll, 3, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil), false},
	{"insert every kind as empty", does(insertAll, 3, "", "", 0, 0.0, false, time.Unix(0, 0).UTC(), `""`, uidText, "0", "{}", "{}", []byte{}, ""), false},
	{"insert pointers", does(insertAll, 3, ptr("c@x"), (*string)(nil), ptr(int32(7)), ptr(float32(1.5)), ptr(true), ptr(noon), ptr(`{"a":1}`),
		ptr(uidText), ptr("12.5"), ptr("{a}"), ptr("{1}"), ptr([]byte{1}), (*string)(nil)), false},
	{"insert sql.Null", does(insertAll, 3, sql.NullString{String: "c@x", Valid: true}, sql.NullString{}, sql.NullInt32{Int32: 7, Valid: true},
		sql.NullFloat64{Float64: 1.5, Valid: true}, sql.NullBool{Bool: true, Valid: true}, sql.NullTime{Time: noon, Valid: true},
		sql.Null[string]{V: `{"a":1}`, Valid: true}, sql.Null[string]{V: uidText, Valid: true}, sql.NullString{}, sql.NullString{},
		sql.NullString{}, sql.Null[[]byte]{V: []byte{1}, Valid: true}, sql.NullString{}), false},
	{"insert Valuers", does("INSERT INTO people (id, email, ssn, note) VALUES ($1, $2, $3, $4)", 3, shout{"c@x"}, &shout{"ssn"}, shout{"note"}), false},
	{"insert literals", does(`INSERT INTO people (id, email, ssn, age, note) VALUES (3, 'c@x', 'o''clock', -5, 'note'), (4, '', NULL, 0, NULL)`), false},
	{"insert casts", does(`INSERT INTO people (id, email, ssn, born) VALUES (3, $1::text, CAST($2 AS varchar), '1984-02-29T12:00:00Z'::timestamptz)`, "c@x", "ssn"), true},
	{"insert one parameter for two columns", does("INSERT INTO people (id, email, ssn) VALUES ($1, $2, $2)", 3, "c@x"), false},
	{"insert rows", does("INSERT INTO people (id, email) VALUES ($1, $2), ($3, $4), ($5, 'e@x')", 3, "c@x", 4, "d@x", 5), false},
	{"insert slices", does("INSERT INTO people (id, tags, nums) VALUES ($1, $2, $3)", 3, []string{"a", `b "c", d`, ""}, []int64{1, -2}), true},
	{"insert from unnest", does("INSERT INTO people (id, email) SELECT * FROM unnest($1::bigint[], $2::text[])", []int64{3, 4}, []string{"c@x", "d@x"}), true},
	{"insert returning", func(db *sql.DB) (string, error) {
		var id int64
		var email, ssn *string
		err := db.QueryRow("INSERT INTO people (id, email, ssn) VALUES ($1, $2, $3) RETURNING id, email AS e, ssn", 3, "c@x", nil).Scan(&id, &email, &ssn)
		return fmt.Sprint(id, *email, ssn), err
	}, false},
	{"upsert", does("INSERT INTO people (id, email, ssn) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, ssn = $4", 1, "new@x", "1", "2"), false},

	{"select =", selects("SELECT id FROM people WHERE email = $1", "a@x"), false},
	{"select = reversed", selects("SELECT id FROM people WHERE $1 = email", "a@x"), false},
	{"select = literal", selects("SELECT id FROM people WHERE email = 'b@x'"), false},
	{"select = number", selects("SELECT id FROM people WHERE age = $1", 42), false},
	{"select = number as text", selects("SELECT id FROM people WHERE age = '42'"), false},
	{"select = Valuer", selects("SELECT id FROM people WHERE email = $1", sql.NullString{String: "a@x", Valid: true}), false},
	{"select = NULL", selects("SELECT id FROM people WHERE email = $1", nil), false},
	{"select <>", selects("SELECT id FROM people WHERE email <> $1 ORDER BY id", "a@x"), false},
	{"select IN", selects("SELECT id FROM people WHERE email IN ($1, $2, 'b@x') ORDER BY id", "a@x", "zzz"), false},
	{"select NOT IN", selects("SELECT id FROM people WHERE email NOT IN ($1, $2) ORDER BY id", "a@x", "zzz"), false},
	{"select ANY", selects("SELECT id FROM people WHERE email = ANY($1) ORDER BY id", []string{"a@x", "b@x", "a@x"}), true},
	{"select ANY of nothing", selects("SELECT id FROM people WHERE email = ANY($1)", []string{}), true},
	{"select ANY of numbers", selects("SELECT id FROM people WHERE age = ANY($1)", []int64{41, 42}), true},
	{"select ANY array", selects("SELECT id FROM people WHERE email = ANY(ARRAY[$1, $2]::text[]) ORDER BY id", "a@x", "c@x"), true},
	{"select IS NULL", selects("SELECT id FROM people WHERE ssn IS NULL"), false},
	{"select IS NOT DISTINCT FROM", selects("SELECT id FROM people WHERE age IS NOT DISTINCT FROM $1", nil), false},
	{"select optional filter", selects("SELECT id FROM people WHERE ($1::text IS NULL OR email = $1) ORDER BY id", "b@x"), true},
	{"select through a CTE", selects("WITH p AS (SELECT id, email FROM people) SELECT id FROM p WHERE email = $1", "a@x"), false},
	{"select through a join", selects("SELECT a.id FROM people a JOIN people b ON a.email = b.email WHERE b.email = $1", "a@x"), false},
	{"select counts", selects("SELECT count(*) FROM people WHERE email = $1 UNION ALL SELECT count(ssn) FROM people", "a@x"), false},
	{"select plain", selects("SELECT id FROM people WHERE note LIKE $1 AND id < $2", "fi%", 10), false},
	{"select nothing", selects("SELECT id FROM people WHERE email = $1", "nobody@x"), false},
	{"NamedArgs", selects("SELECT id FROM people WHERE email = @email AND id = @id", pgx.NamedArgs{"email": "a@x", "id": 1}), true},
	{"an exec mode for one query", selects("SELECT id FROM people WHERE email = $1", pgx.QueryExecModeSimpleProtocol, "a@x"), true},
	{"result formats for one query", selects("SELECT id FROM people WHERE email = $1", pgx.QueryResultFormats{1}, "a@x"), true},

	{"update", does("UPDATE people SET email = $1, ssn = $2 WHERE id = $3", "new@x", "new", 1), false},
	{"update by a sealed column", does("UPDATE people SET note = $1, ssn = $1 WHERE email = $2", "n", "a@x"), false},
	{"update to NULL", does("UPDATE people SET email = $1, ssn = NULL", nil), false},
	{"update COALESCE", does("UPDATE people SET ssn = COALESCE($1, ssn), email = COALESCE($2, email) WHERE id = 1", nil, "new@x"), false},
	{"update rows", does("UPDATE people SET (email, ssn) = ($1, $2)", "both@x", "s"), false},
	{"delete", does("DELETE FROM people WHERE email = $1", "a@x"), false},
	{"several statements", does("INSERT INTO people (id, email) VALUES (3, 'c@x'); UPDATE people SET ssn = 'two' WHERE email = 'c@x'"), true},

	{"prepared", func(db *sql.DB) (string, error) {
		write, err := db.Prepare(insertPerson)
		if err != nil {
			return "", err
		}
		defer func() { _ = write.Close() }()
		for id := 3; id < 8; id++ {
			if _, err := write.Exec(id, fmt.Sprintf("%d@x", id), []any{"ssn", nil}[id%2], id, nil); err != nil {
				return "", err
			}
		}
		find, err := db.Prepare("SELECT id FROM people WHERE email = $1")
		if err != nil {
			return "", err
		}
		defer func() { _ = find.Close() }()
		var found []string
		for id := 2; id < 9; id++ {
			one, err := ids(prepared{find}, "", fmt.Sprintf("%d@x", id))
			if err != nil {
				return "", err
			}
			found = append(found, one)
		}
		return strings.Join(found, " "), nil
	}, false},
	{"committed", func(db *sql.DB) (string, error) {
		return inTx(db, func(tx *sql.Tx) (string, error) {
			if _, err := tx.Exec(insertPerson, 3, "c@x", "s", 1, nil); err != nil {
				return "", err
			}
			return ids(tx, "SELECT id FROM people WHERE email = $1", "c@x")
		})
	}, false},
	{"rolled back", func(db *sql.DB) (string, error) {
		_, err := inTx(db, func(tx *sql.Tx) (string, error) {
			_, err := tx.Exec(insertPerson, 3, "c@x", "s", 1, nil)
			return "", errors.Join(err, sql.ErrNoRows)
		})
		return fmt.Sprint(err), nil
	}, false},
	{"savepoints", func(db *sql.DB) (string, error) {
		return inTx(db, func(tx *sql.Tx) (string, error) {
			for _, s := range []string{"INSERT INTO people (id, email) VALUES (3, 'c@x')", "SAVEPOINT s", "UPDATE people SET email = 'gone@x' WHERE email = 'c@x'",
				"ROLLBACK TO SAVEPOINT s", "UPDATE people SET ssn = 'kept' WHERE email = 'c@x'", "RELEASE SAVEPOINT s"} {
				if _, err := tx.Exec(s); err != nil {
					return "", fmt.Errorf("%s: %w", s, err)
				}
			}
			return ids(tx, "SELECT id FROM people WHERE email IN ($1, $2)", "c@x", "gone@x")
		})
	}, false},
	{"prepared in a transaction", func(db *sql.DB) (string, error) {
		return inTx(db, func(tx *sql.Tx) (string, error) {
			st, err := tx.Prepare("UPDATE people SET ssn = $1 WHERE email = $2")
			if err != nil {
				return "", err
			}
			defer func() { _ = st.Close() }()
			for _, email := range []string{"a@x", "b@x"} {
				if _, err := st.Exec("of "+email, email); err != nil {
					return "", err
				}
			}
			return "", nil
		})
	}, false},
}

// prepared makes a statement look like what ids asks.
type prepared struct{ st *sql.Stmt }

func (p prepared) Query(_ string, args ...any) (*sql.Rows, error) { return p.st.Query(args...) }

// inTx commits what f did, unless it fails.
func inTx(db *sql.DB, f func(*sql.Tx) (string, error)) (string, error) {
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return "", err
	}
	got, err := f(tx)
	if err != nil {
		return "", errors.Join(err, tx.Rollback())
	}
	return got, tx.Commit()
}
