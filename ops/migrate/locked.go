package migrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// legs are the steps of the way in, and of the way out.
var legs = map[bool][]Ready{
	true:  {ReadyCopy, ReadySealed, ReadyOnly, ReadySealedOnly},
	false: {ReadyOnly, ReadySealed, ReadyCopy, ReadyPlain},
}

// runLocked takes all steps to what was asked for in one transaction, with the tables locked.
func (m *migration) runLocked(ctx context.Context, in bool) error {
	unlock, err := m.alone(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.guard(ctx, in); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return errors.Join(err, m.tellAll(ctx))
	}
	m.locked = true
	err = m.takeAll(ctx, in, m.opts.For)
	m.locked = false
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	_, eerr := m.q.Exec(context.WithoutCancel(ctx), end)
	return errors.Join(err, eerr, m.tellAll(ctx))
}

// begin begins a transaction that has the tables.
func (m *migration) begin(ctx context.Context) error {
	var names []string
	for _, t := range m.tables {
		names = append(names, t.name)
	}
	return m.patiently(ctx, names, func(wait time.Duration) error {
		// What is left of the wait, which may be nothing, is not for what the steps lock besides.
		then := []string{fmt.Sprintf("SET LOCAL lock_timeout = %d", wait.Milliseconds()), "SET CONSTRAINTS ALL IMMEDIATE"}
		for _, s := range append(locking(wait, exclusive, names), then...) {
			if _, err := m.q.Exec(ctx, s); err != nil {
				_, rerr := m.q.Exec(context.WithoutCancel(ctx), "ROLLBACK")
				return errors.Join(err, rerr)
			}
		}
		return nil
	})
}

func (m *migration) takeAll(ctx context.Context, in bool, to Ready) error {
	for _, leg := range legs[in] {
		for _, t := range m.tables {
			if err := m.readTable(ctx, t); err != nil {
				return err
			}
		}
		m.opts.For = leg
		if err := m.check(ctx, in); err != nil {
			return err
		}
		if len(m.report.Problems) > 0 {
			return ErrProblems
		}
		if err := m.take(ctx, in); err != nil {
			return err
		}
		if m.report.Unfit > 0 {
			return ErrUnfit
		}
		if leg == to {
			break
		}
	}
	return nil
}

// concurrently is what an index's statement begins with, where it runs in no transaction.
var concurrently = regexp.MustCompile(`^((?:CREATE|CREATE UNIQUE|DROP) INDEX) CONCURRENTLY`)

// within executes statements in the one transaction, as they are there.
func (m *migration) within(ctx context.Context, statements []string) error {
	for _, s := range statements {
		if strings.HasPrefix(s, "VACUUM") {
			continue // it runs in no transaction; autovacuum comes
		}
		if _, err := m.q.Exec(ctx, concurrently.ReplaceAllString(s, "$1")); err != nil {
			return err
		}
	}
	return nil
}
