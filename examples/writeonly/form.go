package main

import (
	"context"
	"database/sql"
	"log"
	"net/http"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/schema"
)

// Form is a row of the table. The tag says that write-only programs may seal the column.
type Form struct {
	ID   int64
	Name string
	Tax  string `db:"tax" seal:"random,inbox"`
}

const table = "writeonly_forms"

var tables = schema.Must(schema.Model(table, Form{}))

// tableDDL makes the table, by the name of the driver below.
var tableDDL = map[string]string{
	"pgx":    "CREATE TABLE " + table + " (id bigserial PRIMARY KEY, name text, tax bytea)",
	"sqlite": "CREATE TABLE " + table + " (id INTEGER PRIMARY KEY, name TEXT, tax BLOB)",
}

// openForm opens the database as the form does: with the inbox's pin, and without a key service.
func (p place) openForm(pin string) (*sql.DB, error) {
	config := p.config
	config.WriteOnly = &driver.Inbox{Pins: []string{pin}}
	driver.Register("form", config)
	return sql.Open("form", p.dsn)
}

// form is the web form.
type form struct{ db *sql.DB }

func (f form) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "send a form", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<12)
	_, err := f.db.ExecContext(r.Context(), "INSERT INTO "+table+" (name, tax) VALUES ($1, $2)", r.PostFormValue("name"), r.PostFormValue("tax"))
	if err != nil {
		log.Print(err) // it holds no value
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("thank you\n"))
}

// read tries what somebody who took the form over would.
func (f form) read(ctx context.Context) (tax string, err error) {
	err = f.db.QueryRowContext(ctx, "SELECT tax FROM "+table).Scan(&tax)
	return tax, err
}
