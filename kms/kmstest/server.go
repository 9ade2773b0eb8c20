// Package kmstest is a KMS for tests: an HTTP server that speaks the AWS KMS JSON
// protocol to the real SDK client.
//
// It makes, wraps and unwraps data keys with real encryption and checks the
// encryption context; it knows key ids, ARNs, aliases, Regions and multi-Region
// keys, key states, and the error types that KMS answers with. It counts calls,
// keeps an audit list as CloudTrail would, and injects latency, throttling,
// denial and outages.
//
//	srv := kmstest.Start(t)
//	srv.CreateKey(kmstest.Alias("alias/app"))
//	w := awskms.New(srv.Client(t), "alias/app")
//
// Without a listener, as in a testing/synctest bubble, a client made from
// [Server.Options] with [Server.Transport] reaches the same server in process.
//
// It is for tests only: it accepts any signature, and its keys live in memory.
package kmstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// The account and the Region of a Server that is made without options.
const (
	DefaultAccount = "111122223333"
	DefaultRegion  = "eu-west-1"
)

// Server is a KMS for every Region of one account. The Region of a request is the
// one it is signed for. Server is an [http.Handler]; [Server.Listen] gives it a
// socket. It is made by [New] or [Start] and safe for concurrent use.
type Server struct {
	account string
	region  string

	done     chan struct{}  // closed by Close
	handlers sync.WaitGroup // requests being served, and the accept loop

	mu      sync.Mutex // guards everything below; never held while waiting
	closed  bool
	http    *http.Server
	url     string
	keys    map[string]*key  // by key id
	aliases map[aliasIn]*key // by Region and name
	faults  []*fault
	events  []Event
	calls   map[string]int
}

var _ http.Handler = (*Server)(nil)

// An Option changes how [New] and [Start] set a Server up.
type Option func(*Server)

// WithAccount sets the 12-digit account id, default [DefaultAccount].
func WithAccount(id string) Option { return func(s *Server) { s.account = id } }

// WithRegion sets the Region that keys are made in and clients call unless told
// otherwise, default [DefaultRegion].
func WithRegion(region string) Option { return func(s *Server) { s.region = region } }

// New returns a Server without keys and without a listener.
func New(opts ...Option) *Server {
	s := &Server{
		account: DefaultAccount,
		region:  DefaultRegion,
		done:    make(chan struct{}),
		keys:    make(map[string]*key),
		aliases: make(map[aliasIn]*key),
		calls:   make(map[string]int),
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Start returns a Server that listens on a free port of the loopback interface and
// is closed when the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := New(opts...)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Listen serves on a TCP address such as "127.0.0.1:0" until Close. It may be
// called once.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("kmstest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.http != nil {
		return errors.Join(errors.New("kmstest: the server listens already or is closed"), l.Close())
	}
	s.url = "http://" + l.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ConnState: s.connState}
	s.handlers.Add(1)
	go func(srv *http.Server) {
		defer s.handlers.Done()
		_ = srv.Serve(l) // returns when Close closes it
	}(s.http)
	return nil
}

// connState lets Close wait for the goroutine of each connection.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.handlers.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.handlers.Done()
	}
}

// URL returns the base URL that the server listens on, "" when it does not.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Close ends requests that hang, closes every connection and waits until all are
// gone. Later requests are refused. Closing twice does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	srv := s.http
	close(s.done)
	s.mu.Unlock()
	if srv != nil {
		_ = srv.Close()
	}
	s.handlers.Wait()
}

// ServeHTTP answers one request of the KMS JSON protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body, err := s.answer(r)
	if err != nil {
		abort(w)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("x-amzn-RequestId", newUUID())
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// abort closes the connection without an answer and, over TCP, with a reset.
func abort(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// credential finds the Region in a SigV4 Authorization header.
var credential = regexp.MustCompile(`Credential=[^/]+/[0-9]{8}/([^/]+)/kms/aws4_request`)

// answer does the work of one request. An error means that no answer is given.
func (s *Server) answer(r *http.Request) (status int, body []byte, err error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return 0, nil, err
	}
	op, isKMS := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	c := &call{op: op, region: s.region}
	s.count(op)
	effect := s.match(c, raw)
	if err := s.wait(r.Context(), effect); err != nil {
		return 0, nil, err
	}
	auth := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	var result any
	var fail *apiError
	switch handle := operations[op]; {
	case effect.fail != nil:
		fail = effect.fail
	case !isKMS || handle == nil:
		fail = &apiError{Code: "UnknownOperationException"}
	case auth == nil:
		fail = &apiError{Code: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}
	default:
		c.region = auth[1]
		if json.Unmarshal(raw, &c.in) != nil {
			fail = &apiError{Code: "SerializationException"}
			break
		}
		s.mu.Lock()
		result, fail = handle(s, c)
		s.mu.Unlock()
	}
	s.record(c, fail)
	switch {
	case fail == nil:
		status = http.StatusOK
	case fail.Code == "":
		return fail.status(), []byte("<html><body>Service Unavailable</body></html>"), nil
	default:
		result, status = fail, fail.status()
	}
	body, err = json.Marshal(result)
	return status, body, err
}

// wait passes the latency of an effect and then, for an outage, gives its error.
func (s *Server) wait(ctx context.Context, e effect) error {
	select {
	case <-s.done:
		return errRefused
	default:
	}
	if e.latency > 0 {
		timer := time.NewTimer(e.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errRefused
		}
	}
	if e.hang {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errRefused
		}
	}
	if e.refuse {
		return errRefused
	}
	return nil
}
