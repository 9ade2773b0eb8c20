package driver

import (
	"context"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

var _ sealeddb.Opener = (*conn)(nil)

// SealedDB implements sealeddb.Opener.
func (c *conn) SealedDB() (*sealeddb.DB, dbcatalog.Querier) {
	c.settle()
	cfg := c.st.observed()
	return &sealeddb.DB{
		Schema: cfg.Schema, Dialect: cfg.Dialect,
		KeyTable: cfg.KeyTable, KeyTableHere: cfg.KeyConnector == nil && !cfg.AutoCreateKeyTable,
		Keyring: c.st.ring.keyring,
		NewCache: func(store *keyring.Store) *keycache.Cache {
			return keycache.New(store, cfg.KMS, cfg.Keys, keyColumns(cfg.Schema)...)
		},
		Counts: &c.st.tel.Counts, Rejected: c.st.rejected,
		Plans: planOptions(cfg),
		Check: func(ctx context.Context, p *sqlplan.Plan, query string) error { return c.checkStrings(ctx, p, query) },
	}, c.own()
}
