package driver

import sqldriver "database/sql/driver"

// tx wraps a transaction, to know when it ends: what its statements did to the session
// or the catalog may then be undone, or become visible to others.
type tx struct {
	c     *conn
	inner sqldriver.Tx
}

// Commit implements driver.Tx.
func (t *tx) Commit() error {
	err := t.inner.Commit()
	t.c.endTx()
	return err
}

// Rollback implements driver.Tx.
func (t *tx) Rollback() error {
	err := t.inner.Rollback()
	t.c.endTx()
	return err
}
