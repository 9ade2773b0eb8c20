package guide

import (
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// App is an application whose programs take each other's places, as the steps of a page say.
type App[P any] struct {
	Open  func(t *testing.T, stage schema.Stage) P // starts a program; without Colseal in schema.StageNone
	End   func(t *testing.T, program P)            // ends it
	Works func(t *testing.T, program P, rows int)  // has it do all that it can, where there are so many rows
	Add   func(t *testing.T, program P, row int)   // has it add a row
	Rows  int                                      // how many there are in the end

	Running P   // the program that was deployed last
	Added   int // the rows that there are
	runs    bool
}

// Deploy is a step that starts a program in a stage beside the one that runs, which ends then. The
// new one adds a row, and both do all that they can, before and after.
func (a *App[P]) Deploy(stage schema.Stage) func(*testing.T, string) {
	return func(t *testing.T, _ string) {
		next := a.Open(t, stage)
		programs := []P{next}
		if a.runs {
			programs = append(programs, a.Running)
		}
		for range 2 {
			for _, p := range programs {
				a.Works(t, p, a.Added)
			}
			if a.Added < a.Rows {
				a.Add(t, next, a.Added)
				a.Added++
			}
		}
		for _, p := range programs {
			a.Works(t, p, a.Added)
		}
		if a.runs {
			a.End(t, a.Running)
		}
		a.Running, a.runs = next, true
	}
}

// AwaitCompanions waits until all programs write the companions of their columns, and has use
// called again and again meanwhile.
func AwaitCompanions(t *testing.T, admin *sql.DB, use func()) {
	t.Helper()
	store := keyring.OpenStore(admin, keyring.DialectPostgres, "")
	late := time.Now().Add(2 * time.Minute)
	for {
		use()
		told, err := store.Stages(t.Context())
		if err != nil || time.Now().After(late) {
			t.Fatalf("%v, %v", told, err)
		}
		if !slices.ContainsFunc(told, func(s keyring.ProgramStage) bool { return !s.Writes }) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
