package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/walk"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// told is what the database tells programs of what it is ready for.
var told = map[Ready]string{ReadyPlain: keyring.ReadyPlain, ReadyCopy: keyring.ReadyPlain, ReadySealed: schema.StageCopy.String(),
	ReadyOnly: schema.StageOnly.String(), ReadySealedOnly: keyring.ReadyFinished}

// past returns the stages that no program may be in when a step is taken.
func past(to Ready, in bool) []string {
	switch {
	case in && to <= ReadyCopy:
		return nil
	case in && to == ReadySealed:
		return []string{schema.StageOnly.String()}
	case in && to == ReadyOnly:
		return []string{schema.StageCopy.String()}
	case in:
		return []string{schema.StageCopy.String(), schema.StageSealed.String()}
	case to == ReadySealed:
		return []string{schema.StageOnly.String()}
	case to == ReadyCopy:
		return []string{schema.StageSealed.String(), schema.StageOnly.String()}
	case to == ReadyPlain:
		return []string{schema.StageCopy.String(), schema.StageSealed.String(), schema.StageOnly.String()}
	}
	return nil
}

// guard refuses a step while programs report a stage that does not go with it, and keeps such
// programs from starting.
func (m *migration) guard(ctx context.Context, in bool) error {
	to := m.opts.For
	if _, err := m.store.Stages(ctx); errors.Is(err, keyring.ErrNoStageTable) {
		if err := m.store.CreateStages(ctx); err != nil {
			return err
		}
		if !m.onLite() { // whose programs tell nothing
			m.notice("waiting %v for programs to tell of their stages, in the table that was missing until now", keyring.StageRetry)
			if err := walk.Pause(ctx, keyring.StageRetry); err != nil {
				return err
			}
		}
	}
	// From these steps on, programs of the stage before must not start: it is told first.
	if in && to >= ReadyOnly || !in && to <= ReadyCopy {
		if err := m.tell(ctx, m.moving(to, in), to); err != nil {
			return err
		}
	}
	if err := m.programs(ctx, in); err != nil {
		return errors.Join(err, m.tellAll(ctx))
	}
	return nil
}

// ErrPrograms is returned while programs run in a stage that does not go with the step.
var ErrPrograms = errors.New("programs are in a stage that does not go with this step")

// programs looks at what programs tell.
func (m *migration) programs(ctx context.Context, in bool) error {
	all, err := m.store.Stages(ctx)
	if err != nil {
		return err
	}
	var found []string
	for _, mv := range m.moving(m.opts.For, in) {
		for _, p := range mv.pairs {
			name := p.StageName()
			count := map[string]int{}
			for _, s := range all {
				switch {
				case s.Column != name || s.Process == keyring.StageDatabase:
				case slices.Contains(past(m.opts.For, in), s.Stage):
					count[s.Stage]++
				case in && m.opts.For == ReadySealed && !s.Writes:
					count[s.Stage+", without having seen the companion yet"]++
				}
			}
			for what, n := range count {
				found = append(found, fmt.Sprintf("%d in %s of %s", n, what, p.TableName()+"."+p.Name))
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return fmt.Errorf("%w: %s; one that was killed counts for %s", ErrPrograms, strings.Join(found, ", "), keyring.StageLease)
}

// tell tells programs what the database is ready for.
func (m *migration) tell(ctx context.Context, moves []move, r Ready) error {
	for _, mv := range moves {
		for _, p := range mv.pairs {
			if err := m.store.TellReady(ctx, p.StageName(), told[r]); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellAll tells programs what the database is ready for, by what it has.
func (m *migration) tellAll(ctx context.Context) error {
	for _, t := range m.tables {
		if err := m.readTable(ctx, t); err != nil {
			return err
		}
		for _, p := range t.pairs {
			r, done := t.ready(p)
			if r == ReadySealed && !done {
				continue // it tells what it was ready for before
			}
			if err := m.tell(ctx, []move{{t, m, []*pair{p}}}, r); err != nil {
				return err
			}
		}
	}
	return nil
}
