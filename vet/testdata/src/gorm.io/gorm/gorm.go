// Package gorm has the signatures of gorm.io/gorm that the tests use.
package gorm

type DB struct{}

func (db *DB) Raw(sql string, values ...any) *DB  { return db }
func (db *DB) Exec(sql string, values ...any) *DB { return db }
func (db *DB) Scan(dest any) *DB                  { return db }
