package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// StageLease is how long a report of a process about its stages counts. A process that has reported
// nothing for that long reports again before its next statement.
const StageLease = 5 * time.Minute

// StageRetry is how long a running process goes on without reporting its stages if there is no
// table for them.
const StageRetry = 5 * time.Second

// What the database itself reports, by the commands that make it ready for stages: a stage, from
// which no program may be two away, or one of these. It counts until the next report.
const (
	StageDatabase = "database"
	ReadyPlain    = "plain"    // before copy: there are no cells that could be read
	ReadyFinished = "finished" // behind only: the plain column holds nothing, or is gone
)

// ErrNoStageTable: the table in which processes tell their stages is not there.
var ErrNoStageTable = errors.New("keyring: there is no table of stages")

// ProgramStage is what a process told of one column that is on its way between plain and sealed.
type ProgramStage struct {
	Process string // a name that each process makes up
	Column  string // of the cells, as in users.email_sealed
	Stage   string // copy, sealed or only
	Writes  bool   // it has seen the companion, and writes it
}

// stageTable returns the name of the table beside the keyring. PostgreSQL would cut a long name
// down to that of the keyring itself.
func (s *Store) stageTable() string {
	const suffix = "_stages"
	name := s.name
	for len(name)+len(suffix) > dbcatalog.MaxName {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	return strings.TrimSuffix(s.table, dbcatalog.QuoteIdent(s.name)) + dbcatalog.QuoteIdent(name+suffix)
}

// StageDDL returns the statement that creates the table of stages, which is needed while columns
// are on their way.
func (s *Store) StageDDL() string {
	if s.invalid != nil {
		return ""
	}
	seen := "pg_catalog.timestamptz NOT NULL DEFAULT now()"
	if s.dialect == DialectSQLite {
		seen = "TEXT NOT NULL"
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %[1]s (\n\tprocess %[2]s NOT NULL,\n\tplace %[2]s NOT NULL, -- the column\n\tstage %[2]s NOT NULL,\n"+
		"\twrites boolean NOT NULL, -- the companion\n\tseen_at %[3]s,\n\tPRIMARY KEY (process, place)\n)", s.stageTable(), textType(s.dialect), seen)
}

// CreateStages creates the table of stages if it is not there.
func (s *Store) CreateStages(ctx context.Context) error {
	err := s.exec(ctx, "create", s.StageDDL())
	if err != nil {
		if _, missing := s.Stages(ctx); missing == nil {
			return nil // somebody else made it at the same time
		}
	}
	return err
}

// TellStages records the stages of a process, and then returns those of all others that reported
// within [StageLease]. Of two processes that report at the same time, at least one sees the other.
// It returns ErrNoStageTable if the table is missing.
func (s *Store) TellStages(ctx context.Context, process string, stages []ProgramStage) (others []ProgramStage, err error) {
	err = s.answer(ctx, "tell stages", func(ctx context.Context) error {
		return s.retried(ctx, "tell stages", func(ctx context.Context, conn *sql.Conn) error {
			for _, st := range stages {
				if _, err := conn.ExecContext(ctx, "INSERT INTO "+s.stageTable()+" (process, place, stage, writes, seen_at) VALUES ($1, $2, $3, $4, "+now(s.dialect)+")"+
					" ON CONFLICT (process, place) DO UPDATE SET stage = excluded.stage, writes = excluded.writes, seen_at = excluded.seen_at",
					process, st.Column, st.Stage, st.Writes); err != nil {
					return noStageTable(err)
				}
			}
			if others, err = s.stagesOn(ctx, conn, process); err != nil {
				return err
			}
			_, err := conn.ExecContext(ctx, "DELETE FROM "+s.stageTable()+" WHERE "+passed(s.dialect, "seen_at", 10*StageLease))
			return err
		})
	})
	return others, err
}

// TellReady notes what the database is ready for.
func (s *Store) TellReady(ctx context.Context, column, stage string) error {
	forever := "infinity"
	if s.dialect == DialectSQLite {
		forever = "9999-12-31"
	}
	return s.answer(ctx, "tell stages", func(ctx context.Context) error {
		return s.retried(ctx, "tell stages", func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "INSERT INTO "+s.stageTable()+" (process, place, stage, writes, seen_at) VALUES ($1, $2, $3, true, $4)"+
				" ON CONFLICT (process, place) DO UPDATE SET stage = excluded.stage", StageDatabase, column, stage, forever)
			return err
		})
	})
}

// Stages returns what processes told within [StageLease].
func (s *Store) Stages(ctx context.Context) (all []ProgramStage, err error) {
	err = s.answer(ctx, opRead, func(ctx context.Context) error {
		return s.retried(ctx, opRead, func(ctx context.Context, conn *sql.Conn) error {
			all, err = s.stagesOn(ctx, conn, "")
			return err
		})
	})
	return all, err
}

func (s *Store) stagesOn(ctx context.Context, conn *sql.Conn, except string) (all []ProgramStage, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT process, place, stage, writes FROM "+s.stageTable()+
		" WHERE process <> $1 AND NOT ("+passed(s.dialect, "seen_at", StageLease)+") ORDER BY place, process", except)
	if err != nil {
		return nil, noStageTable(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p ProgramStage
		if err := rows.Scan(&p.Process, &p.Column, &p.Stage, &p.Writes); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// ForgetStages takes back what a process told, when it ends.
func (s *Store) ForgetStages(ctx context.Context, process string) error {
	return s.answer(ctx, "forget stages", func(ctx context.Context) error {
		return s.exec(ctx, "forget stages", "DELETE FROM "+s.stageTable()+" WHERE process = $1", process)
	})
}

func noStageTable(err error) error {
	if dbcatalog.SQLState(err) == "42P01" || strings.Contains(err.Error(), "no such table") {
		return stageTableError{err}
	}
	return err
}

// stageTableError hides the code of the server's error, which says that the keyring is missing.
type stageTableError struct{ err error }

func (e stageTableError) Error() string { return ErrNoStageTable.Error() + ": " + e.err.Error() }
func (e stageTableError) Unwrap() error { return ErrNoStageTable }
