package wiretap

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// controlPrefix begins the names of the controls; a canary's name does not.
const controlPrefix = "\x00control "

// controls are what a Search plants itself. Each can be found in its own places only: COPY does not
// log what it carries, and a deleted row is in the data files but in no dump.
type controls struct {
	log   Canary // a statement's parameter
	table Canary // a row of a table: in the dump, and in the data files
	data  Canary // a deleted row
}

func (c controls) all() []Canary { return []Canary{c.log, c.table, c.data} }

// heard checks that each control was found where it was planted, and not where it cannot be.
func (c controls) heard(findings []Finding) error {
	for _, want := range []struct {
		control Canary
		place   Place
		found   bool
	}{
		{c.log, Log, true}, {c.log, Table, false}, {c.log, Data, false},
		{c.table, Log, false}, {c.table, Table, true}, {c.table, Data, true},
		{c.data, Log, false}, {c.data, Table, false}, {c.data, Data, true},
	} {
		found := false
		for _, f := range findings {
			found = found || f.Canary == want.control.name && f.Place == want.place
		}
		if found != want.found {
			return fmt.Errorf("%w: %s found in %s: %v, want %v", ErrDeaf, want.control.name[1:], want.place, found, want.found)
		}
	}
	return nil
}

// logs are the settings without which the log does not hold every statement with its parameters.
const logs = `
	SELECT coalesce(string_agg(name || '=' || setting, ', '), '') FROM pg_settings
	WHERE (name, setting) IN (('logging_collector', 'off'))
	   OR name = 'log_statement' AND setting <> 'all'
	   OR name IN ('log_parameter_max_length', 'log_parameter_max_length_on_error') AND setting <> '-1'`

// plant puts the controls where they belong, the log's last of all, and silences this session in
// the log. remove takes the table away again.
func plant(ctx context.Context, conn *sql.Conn) (c controls, remove func(), err error) {
	var wrong string
	if err := conn.QueryRowContext(ctx, logs).Scan(&wrong); err != nil {
		return c, nil, err
	}
	if wrong != "" {
		return c, nil, fmt.Errorf("%w: the server does not log all there is: %s", ErrDeaf, wrong)
	}
	values := [3]string{rand.Text(), rand.Text(), rand.Text()}
	c.table = Text(controlPrefix+"table", values[0])
	c.data = Text(controlPrefix+"data", values[1])
	c.log = Text(controlPrefix+"log", values[2])

	name := "wiretap_control_" + rand.Text()
	quoted := pgx.Identifier{"public", name}.Sanitize()
	remove = func() {
		// The search is over: what it found does not hang on this, and its context may be.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+quoted)
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "RESET log_statement")
	}
	if _, err := conn.ExecContext(ctx, "CREATE TABLE "+quoted+" (place text, v text) WITH (autovacuum_enabled = false)"); err != nil {
		return c, nil, err
	}
	rows := [][]any{{"table", values[0]}, {"data", values[1]}}
	err = raw(conn, func(pg *pgx.Conn) error {
		_, err := pg.CopyFrom(ctx, pgx.Identifier{"public", name}, []string{"place", "v"}, pgx.CopyFromRows(rows))
		return err
	})
	if err == nil {
		_, err = conn.ExecContext(ctx, "DELETE FROM "+quoted+" WHERE place = 'data'")
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "SELECT length($1::text)", values[2])
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "SET log_statement = 'none'") // reading would fill the log it reads
	}
	if err != nil {
		remove()
		return c, nil, err
	}
	return c, remove, nil
}
