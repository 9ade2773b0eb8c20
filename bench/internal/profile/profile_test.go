package profile

import (
	"crypto/sha256"
	"testing"
	"time"
)

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		want  string
		stack []string
	}{
		{Crypto, []string{"crypto/internal/fips140/aes/gcm.gcmAesDec", "github.com/colseal/colseal/codec.(*Key).Open"}},
		{Colseal, []string{"runtime.memmove", "github.com/colseal/colseal/codec.(*Key).Open", "database/sql.(*Rows).Next"}},
		{Memory, []string{"runtime.nextFreeFast", "runtime.mallocgc", "github.com/jackc/pgx/v5/pgtype.Scan"}},
		{Collector, []string{"runtime.scanobject", "runtime.gcDrain", "runtime.mallocgc", "github.com/jackc/pgx/v5"}},
		{PGX, []string{"runtime.memmove", "github.com/jackc/pgx/v5/pgproto3.(*Frontend).Receive", "github.com/colseal/colseal/driver.(*rows).Next"}},
		{SQL, []string{"database/sql.convertAssignRows", "main.main"}},
		{Network, []string{"internal/runtime/syscall/linux.Syscall6", "syscall.read", "net.(*conn).Read", "github.com/jackc/pgx/v5/x"}},
		{Other, []string{"github.com/colseal/colseal/bench/internal/queries.f", "database/sql.x"}},
		{Other, []string{"runtime.findRunnable", "runtime.schedule", "runtime.mcall"}},
	} {
		if got := kindOf(c.stack); got != c.want {
			t.Errorf("%v: %q, want %q", c.stack, got, c.want)
		}
	}
}

func TestRun(t *testing.T) {
	data := make([]byte, 1<<16)
	times, err := Run(300*time.Millisecond, func() { sha256.Sum256(data) })
	if err != nil {
		t.Skip(err) // another profile is under way: go test -cpuprofile
	}
	total := time.Duration(0)
	for _, d := range times {
		total += d
	}
	if total > 0 && times[Crypto] < total/2 {
		t.Errorf("of %v that were spent hashing, %v are said to be cryptography", total, times[Crypto])
	}
}
