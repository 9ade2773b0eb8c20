package front

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/schema"
)

// What was told is as old as when it was begun to be told: whoever takes long over it, or stands still, does not send statements by what
// others told long ago. If the clock was set back, its age is not known, and it is told again.
func TestAgeOfStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := New(Config{Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email", Stage: schema.StageCopy})), Dialect: dialect.Postgres, KMS: keytest.NewKMS(),
			Connector: &counting{hangs: true}, KeyTable: "colseal_keys"})
		defer func() { _ = db.Close() }()
		s := db.NewSession(statusConn('I'))
		for what, told := range map[string]time.Time{"never told": {}, "told at a time that is to come": time.Now().Add(time.Hour)} {
			began := time.Now()
			if db.stages.told.Store(told.UnixNano()); told.IsZero() {
				db.stages.told.Store(0)
			}
			if err := s.tellStages(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("%s: nothing was told in %v", what, took)
			}
			if told := time.Unix(0, db.stages.told.Load()); told.After(began) {
				t.Errorf("%s: what was told counts from %v after it was begun", what, told.Sub(began))
			}
		}
	})
}
