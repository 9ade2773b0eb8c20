package kmstest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// An Event is one request that got an answer, as CloudTrail would record it.
type Event struct {
	Time              time.Time
	Operation         string
	Region            string
	KeyID             string            // ARN of the key that was used; as requested when it was not found
	SourceKeyID       string            // ReEncrypt: ARN of the source key
	EncryptionContext map[string]string // ReEncrypt: that of the destination
	ErrorCode         string            // "" for success
}

// Events returns the audit list, oldest first. It holds no request that hung or was
// refused: KMS never saw those.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Calls returns how many requests for these operations arrived, or for all when
// none are given, whatever became of them. The SDK's retries count.
func (s *Server) Calls(ops ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if len(ops) == 0 {
		ops = slices.Collect(maps.Keys(s.calls))
	}
	for _, op := range ops {
		n += s.calls[op]
	}
	return n
}

// Reset forgets all calls and events. Keys, aliases and faults stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = nil
	clear(s.calls)
}

func (s *Server) count(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
}

func (s *Server) record(c *call, fail *apiError) {
	e := Event{
		Time: time.Now(), Operation: c.op, Region: c.region, KeyID: c.key, SourceKeyID: c.source,
		EncryptionContext: c.in.context(),
	}
	if fail != nil {
		e.ErrorCode = fail.Code
		if e.ErrorCode == "" {
			e.ErrorCode = "ServiceUnavailable"
		}
	}
	if e.KeyID == "" {
		e.KeyID = c.in.KeyId + c.in.DestinationKeyId
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// lookup finds a key by any of its names, in whatever Region; nil when there is
// none.
func (s *Server) lookup(name string) *key {
	region := s.region
	if a, err := arn.Parse(name); err == nil {
		region = a.Region
	}
	if k, fail := s.find(region, name); fail == nil {
		return k
	}
	return s.keys[strings.TrimPrefix(name, "key/")]
}

func differentRegions(a, b string) bool {
	x, errX := arn.Parse(a)
	y, errY := arn.Parse(b)
	return errX == nil && errY == nil && x.Region != y.Region
}
