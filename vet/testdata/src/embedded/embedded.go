// Package embedded sends files.
package embedded

import (
	"database/sql"
	"embed"

	"files"
)

//go:embed by_name.sql
var byName string

//go:embed sql
var tree embed.FS

func sends(db *sql.DB) {
	db.Query(byName)
	db.Query(files.Longest)
	b, _ := tree.ReadFile("sql/read.sql")
	db.Query(string(b))
}
