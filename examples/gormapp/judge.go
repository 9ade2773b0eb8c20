package main

import (
	"errors"

	"gorm.io/gorm"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

// Judge is a GORM plugin for tests. It calls Found for each statement that GORM makes and Colseal
// will refuse.
type Judge struct {
	Schema *schema.Schema
	Found  func(*explain.Explanation)
}

// Name implements [gorm.Plugin].
func (Judge) Name() string { return "colseal" }

// Initialize implements [gorm.Plugin].
func (j Judge) Initialize(db *gorm.DB) error {
	c := db.Callback()
	return errors.Join(
		c.Create().After("gorm:create").Register("colseal:create", j.judge),
		c.Query().After("gorm:query").Register("colseal:query", j.judge),
		c.Update().After("gorm:update").Register("colseal:update", j.judge),
		c.Delete().After("gorm:delete").Register("colseal:delete", j.judge),
		c.Row().After("gorm:row").Register("colseal:row", j.judge),
		c.Raw().After("gorm:raw").Register("colseal:raw", j.judge),
	)
}

func (j Judge) judge(tx *gorm.DB) {
	e, err := explain.Offline(j.Schema, driver.DialectPostgres, tx.Statement.SQL.String())
	if err != nil {
		_ = tx.AddError(err)
	} else if len(e.Refused)+len(e.Observed) > 0 {
		j.Found(e)
	}
}
