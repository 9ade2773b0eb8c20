package keylife

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/kmstest"
)

// shortAge is the programs' MaxAge here, so that the test need not wait for ten minutes.
const shortAge = 300 * time.Millisecond

// program is a process that does one thing to letters until it is refused by KMS, and says so.
func program(does string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, pg, w, err := mortal.Open(ctx)
	if err != nil {
		return err
	}
	db, err := openLetters(pg.ConnString(), driver.Config{KMS: w, Keys: keycache.Config{MaxAge: shortAge}}, mortal.New(0))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for i := 0; ; i++ {
		switch does {
		case "seals": // and never reads
			_, err = db.ExecContext(ctx, "INSERT INTO letters (scope, body) VALUES ('elsewhere', $1)", fmt.Sprint(i))
		case "opens":
			_, err = read(ctx, db, "")
		case "searches":
			_, err = found(ctx, db, "", "ann")
		}
		if errors.Is(err, kms.ErrDenied) {
			fmt.Println("refused", kms.ErrorClass(err))
			return nil
		}
		if err != nil {
			return err
		}
		if i == 0 {
			fmt.Fprintln(os.Stderr, "works")
		}
	}
}

// startProgram starts a program and waits until it works. The result is what it says at its end.
func (w *world) startProgram(t *testing.T, does string) (said func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	works := &until{word: "works\n", seen: make(chan struct{})}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, works
	cmd.Env = append(mortal.Env(w.pg.DSN(), w.kmsURL(), 0), childEnv+"=1", "OPERATOR_DOES=program "+does)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-works.seen:
	case err := <-ended:
		t.Fatalf("a program that %s ended with %v, said %s\n%s", does, err, &out, works)
	}
	return func() string {
		if err := <-ended; err != nil {
			t.Errorf("a program that %s ended with %v\n%s", does, err, works)
		}
		return strings.TrimSpace(out.String())
	}
}

func (w *world) kmsURL() string {
	return "awskms:///" + alias + "?region=" + kmstest.DefaultRegion + "&trust=" + kmstest.DefaultAccount + "&endpoint=" + w.kms.URL()
}

// until keeps what is written to it, and tells when that is a word.
type until struct {
	word string
	seen chan struct{}

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (u *until) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := strings.Contains(u.text.String(), u.word)
	n, err := u.text.Write(b)
	if !before && strings.Contains(u.text.String(), u.word) {
		close(u.seen)
	}
	return n, err
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

// TestDisabledKEKStopsEveryProcess: programs that only seal, only open or only search all stop when the KEK is disabled
// or denied, though their MaxStale is an hour; and work again when it is enabled.
func TestDisabledKEKStopsEveryProcess(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		for name, refuse := range map[string]func() (lift func()){
			"key_disabled": func() func() {
				w.kms.SetState(alias, kmstest.StateDisabled)
				return func() { w.kms.SetState(alias, kmstest.StateEnabled) }
			},
			"denied": func() func() { return w.kms.Deny(alias) },
		} {
			seal(t, w, "")
			var ends []func() string
			for _, does := range []string{"seals", "opens", "searches"} {
				ends = append(ends, w.startProgram(t, does))
			}
			lift := refuse()
			for _, said := range ends {
				if got := said(); got != "refused "+name {
					t.Errorf("%s: a program says %q", name, got)
				}
			}
			lift()
		}
		seal(t, w, "")
	})
}
