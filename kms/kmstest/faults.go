package kmstest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// A Fault is something that goes wrong with the requests that it matches. Its
// latency comes first, then one of: an outage, an error answer, or nothing more.
// The zero Fault matches every request and does nothing.
type Fault struct {
	// Op is the operation it applies to, "" for all. "ReEncryptFrom" and
	// "ReEncryptTo" match ReEncrypt with Key as the source or destination.
	Op string
	// Key is the key id, ARN or alias of the key it applies to, "" for all. For an
	// ARN, only in that Region.
	Key string
	// Times is how many requests it applies to, 0 for all until it is lifted.
	Times int

	// Latency delays the request.
	Latency time.Duration
	// LatencyFunc, when it is set, gives a further delay for each request. It may
	// be called concurrently.
	LatencyFunc func(op string) time.Duration

	// Outage makes the request fail as a whole.
	Outage Outage
	// Code is the error to answer with, such as "ThrottlingException"; "" for none.
	Code string
	// Message goes with Code.
	Message string
	// Status is the HTTP status that goes with Code, 0 for the one KMS has.
	Status int
}

// Outage is a way in which a whole service fails.
type Outage uint8

// The kinds of outage.
const (
	OutageNone Outage = iota
	// OutageUnanswered lets requests hang until the client gives up or the Server is closed, even
	// after the fault is lifted.
	OutageUnanswered
	// OutageRefused closes the connection without an answer, by a TCP reset; through
	// Transport it is refused.
	OutageRefused
	// OutageFailing answers with HTTP status 503 and a body that is not KMS's, as from a load
	// balancer.
	OutageFailing
)

type fault struct {
	Fault
	left int // of Times; 0: unlimited
}

// effect is what the faults together do to one request.
type effect struct {
	latency      time.Duration
	hang, refuse bool
	fail         *apiError
}

// Inject adds a fault and returns the function that lifts it, which may be called
// more than once. When several match a request their latencies add up, and the
// first one with an outage or a code decides.
func (s *Server) Inject(f Fault) (lift func()) {
	injected := &fault{Fault: f, left: f.Times}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, injected)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return f == injected })
	}
}

// Slow delays every request by d until it is lifted.
func (s *Server) Slow(d time.Duration) (lift func()) { return s.Inject(Fault{Latency: d}) }

// Throttle answers the next n requests, or all until it is lifted when n is 0, with
// ThrottlingException.
func (s *Server) Throttle(n int) (lift func()) {
	return s.Inject(Fault{Times: n, Code: "ThrottlingException", Message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."})
}

// Deny answers the operations, or all when none are given, on a key, or on every
// key when it is "", with AccessDeniedException until it is lifted.
func (s *Server) Deny(keyID string, ops ...string) (lift func()) {
	if len(ops) == 0 {
		ops = []string{""}
	}
	var lifts []func()
	for _, op := range ops {
		action, resource := op, keyID
		if action == "" {
			action = "*"
		}
		if resource == "" {
			resource = "*"
		}
		e := denied(s.account, action, resource)
		lifts = append(lifts, s.Inject(Fault{Op: op, Key: keyID, Code: e.Code, Message: e.Message}))
	}
	return func() {
		for _, lift := range lifts {
			lift()
		}
	}
}

// Break makes every request fail in the given way until it is lifted.
func (s *Server) Break(o Outage) (lift func()) { return s.Inject(Fault{Outage: o}) }

// match finds what the faults do to a request, and uses up their Times.
func (s *Server) match(c *call, raw []byte) effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e effect
	if len(s.faults) == 0 {
		return e
	}
	var in request
	_ = json.Unmarshal(raw, &in) // a request that does not parse names no key
	decided := false
	for _, f := range slices.Clone(s.faults) {
		decides := f.Outage != OutageNone || f.Code != ""
		if !s.applies(f, c.op, &in) || decides && decided {
			continue
		}
		if f.left > 0 {
			if f.left--; f.left == 0 {
				s.faults = slices.DeleteFunc(s.faults, func(g *fault) bool { return g == f })
			}
		}
		e.latency += f.Latency
		if f.LatencyFunc != nil {
			e.latency += f.LatencyFunc(c.op)
		}
		if decides {
			decided = true
			e.decide(f)
		}
	}
	return e
}

func (e *effect) decide(f *fault) {
	switch f.Outage {
	case OutageUnanswered:
		e.hang = true
	case OutageRefused:
		e.refuse = true
	case OutageFailing:
		e.fail = &apiError{Status: http.StatusServiceUnavailable}
	default:
		e.fail = &apiError{Code: f.Code, Message: f.Message, Status: f.Status}
	}
}

// applies tells whether a fault's operation and key match a request.
func (s *Server) applies(f *fault, op string, in *request) bool {
	keys := []string{in.KeyId, in.TargetKeyId, in.SourceKeyId, in.DestinationKeyId}
	if in.KeyId == "" && in.SourceKeyId == "" {
		keys = append(keys, sealedBy(in.CiphertextBlob))
	}
	switch {
	case f.Op == "ReEncryptFrom" && op == "ReEncrypt":
		keys = []string{in.SourceKeyId, sealedBy(in.CiphertextBlob)}
	case f.Op == "ReEncryptTo" && op == "ReEncrypt":
		keys = []string{in.DestinationKeyId}
	case f.Op != "" && f.Op != op:
		return false
	}
	if f.Key == "" {
		return true
	}
	want := s.lookup(f.Key)
	for _, id := range keys {
		if id == "" {
			continue
		}
		if got := s.lookup(id); id == f.Key || got != nil && got == want && !differentRegions(id, f.Key) {
			return true
		}
	}
	return false
}
