package integration

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
	"github.com/colseal/colseal/schema"
)

type user struct {
	ID    int64
	Email string    `db:"email" seal:"deterministic"`
	SSN   *string   `db:"ssn" seal:"random"`
	Born  time.Time `db:"born" seal:"random"`
}

// TestRoundTrip is the README's example: tag the struct, swap the driver, and the server holds only cells.
func TestRoundTrip(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		mustExec(t, pg.Admin, "CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn bytea, born text)")
		db := sealedDB(t, pg, schema.Must(schema.Model("users", user{})))
		// Values of their own, which no other test leaves in the server's files.
		ssn, born := fmt.Sprintf("078-05-%d", rand.Uint64()), time.Date(1984, 2, 29, 7, 0, 0, 123000+1000*rand.IntN(1e5), time.UTC)
		erika, max := fmt.Sprintf("erika.%d@example.org", rand.Uint64()), fmt.Sprintf("max.%d@example.org", rand.Uint64())
		mustExec(t, db, "INSERT INTO users (id, email, ssn, born) VALUES ($1, $2, $3, $4)", 1, erika, ssn, born)
		mustExec(t, db, "INSERT INTO users (id, email, ssn, born) VALUES (2, '"+max+"', NULL, '2001-01-01T00:00:00Z')")

		var u user
		err := db.QueryRow("SELECT * FROM users WHERE email = $1", erika).Scan(&u.ID, &u.Email, &u.SSN, &u.Born)
		if err != nil || u.Email != erika || u.SSN == nil || *u.SSN != ssn || !u.Born.Equal(born) {
			t.Errorf("read %+v, %v", u, err)
		}
		err = db.QueryRow("SELECT id, email, ssn, born FROM users WHERE email = '"+max+"'").Scan(&u.ID, &u.Email, &u.SSN, &u.Born)
		if err != nil || u.ID != 2 || u.SSN != nil {
			t.Errorf("read %+v, %v", u, err)
		}
		if cell := scanOne[[]byte](t, pg.Admin, "SELECT email FROM users WHERE id = 1"); bytes.Contains(cell, []byte("erika")) {
			t.Errorf("stored %q", cell)
		}
		if _, err := db.Exec("SELECT id FROM users WHERE email LIKE 'erika%'"); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("LIKE: %v", err)
		}
		wiretap.Check(t, pg.Admin, wiretap.Text("email", erika), wiretap.Text("literal", max),
			wiretap.Text("ssn", ssn), wiretap.Time("born", born))
	}, pgtest.Logged())
}
