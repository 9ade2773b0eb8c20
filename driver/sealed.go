package driver

import (
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sealeddb"
)

var _ sealeddb.Opener = (*conn)(nil)

// SealedDB implements sealeddb.Opener.
func (c *conn) SealedDB() (*sealeddb.DB, dbcatalog.Querier) {
	c.session.Sync()
	db := c.db()
	cfg := db.Config()
	return &sealeddb.DB{
		Schema: cfg.Schema, Dialect: cfg.Dialect,
		KeyTable: cfg.KeyTable, KeyTableHere: cfg.KeyConnector == nil && !cfg.AutoCreateKeyTable, KeyTableElsewhere: cfg.KeyConnector != nil,
		Keyring: db.Keyring, NewCache: db.NewCache,
		Counts: db.Counts(), Rejected: db.Rejected,
		Plans: cfg.Plans, Check: c.session.CheckStrings,
	}, c.under
}
