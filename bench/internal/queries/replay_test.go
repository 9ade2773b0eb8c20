package queries

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A request is replayed whatever its parameters are once the server has answered it often enough, and no other is.
func TestReplay(t *testing.T) {
	program, server := net.Pipe()
	served := make(chan int)
	go func() {
		buf, n := make([]byte, 1024), 0
		for ; ; n++ {
			if _, err := server.Read(buf); err != nil {
				served <- n
				return
			}
			if _, err := server.Write([]byte{'a', byte('0' + n%10)}); err != nil {
				t.Error(err)
			}
		}
	}()
	conn, err := replaying(func(context.Context, string, string) (net.Conn, error) { return program, nil })(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(statement, value string) string {
		t.Helper()
		request, err := (&pgproto3.Bind{PreparedStatement: statement, Parameters: [][]byte{[]byte(value)}}).Encode(nil)
		if err == nil {
			_, err = conn.Write(request)
		}
		if err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 2)
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	for i := range warmUp {
		ask("often", string(rune('a'+i)))
	}
	for range 3 {
		if got := ask("often", "another"); got != "a7" {
			t.Errorf("replayed %q, want the server's last answer", got)
		}
	}
	if got := ask("seldom", "x"); got != "a8" {
		t.Errorf("got %q, want what the server answers", got)
	}
	// As pgx does when a request takes long to write: it reads before.
	read := make(chan string)
	go func() {
		answer := make([]byte, 2)
		_, err := io.ReadFull(conn, answer)
		if err != nil {
			t.Error(err)
		}
		read <- string(answer)
	}()
	for c := conn.(*replayedConn); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		reading := c.reading
		c.mu.Unlock()
		if reading {
			break
		}
	}
	request, err := (&pgproto3.Bind{PreparedStatement: "often"}).Encode(nil)
	if err == nil {
		_, err = conn.Write(request)
	}
	if got := <-read; err != nil || got != "a7" {
		t.Errorf("replayed %q to whoever read before, %v", got, err)
	}
	if got := ask("seldom", "y"); got != "a9" {
		t.Errorf("got %q, want what the server answers", got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-served; n != warmUp+2 {
		t.Errorf("the server was asked %d times, want %d", n, warmUp+2)
	}
}

// BenchmarkReplayed times the program's side of queries alone. It takes a server for the first answers: that of
// COLSEAL_TEST_DSN, or a container.
func BenchmarkReplayed(b *testing.B) {
	ctx := context.Background()
	dsn, stop, err := openServer(ctx, os.Getenv("COLSEAL_TEST_DSN"))
	if err != nil {
		b.Skip(err)
	}
	defer stop()
	setUp, err := newFixture(dsn, b.TempDir(), 1, fixtureOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = setUp.close() }()
	if err := setUp.create(ctx, kinds(false)); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = setUp.drop(ctx) }()
	pin, err := setUp.inbox(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range (Options{Replayed: true}).cases() {
		f, err := newFixture(dsn, setUp.dir, 1, fixtureOptions{pin: pin, replayed: true, native: c.native})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = f.close() }()
		if err := f.truncate(ctx); err != nil {
			b.Fatal(err)
		}
		ways, err := f.ways(ctx, c)
		if err != nil {
			b.Fatal(err)
		}
		for _, w := range ways {
			b.Run(c.name+"/"+w.name, func(b *testing.B) {
				b.ReportAllocs()
				for range 2 * warmUp {
					w.one()
				}
				for b.Loop() {
					w.one()
				}
				if failure := f.failure.Load(); failure != nil {
					b.Fatal(*failure)
				}
			})
		}
	}
}
