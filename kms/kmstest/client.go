package kmstest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// Client returns a real SDK client of the server. It makes one attempt per call, so
// that counts and faults are exact; see [Attempts]. Its connections are closed when
// the test ends. Without a listener it uses [Server.Transport].
func (s *Server) Client(t testing.TB, opts ...func(*kms.Options)) *kms.Client {
	t.Helper()
	o := s.Options()
	if s.URL() != "" {
		transport := &http.Transport{MaxIdleConnsPerHost: 64}
		t.Cleanup(transport.CloseIdleConnections)
		o.HTTPClient = &http.Client{Transport: transport}
	}
	return kms.New(o, opts...)
}

// Options returns the options of an SDK client that reaches the server by
// [Server.Transport] and makes one attempt per call: to change, or to use where
// there is no test.
func (s *Server) Options() kms.Options {
	endpoint := s.URL()
	if endpoint == "" {
		endpoint = "http://kms.invalid"
	}
	return kms.Options{
		Region:       s.region,
		BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDKMSTEST", SecretAccessKey: "not-a-secret", Source: "kmstest"}, nil
		}),
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: s.Transport()},
	}
}

// Attempts lets a client make up to n attempts per call, with the SDK's own back-off
// between them.
func Attempts(n int) func(*kms.Options) {
	return func(o *kms.Options) { o.RetryMaxAttempts = n }
}

// Region makes a client call another Region.
func Region(region string) func(*kms.Options) {
	return func(o *kms.Options) { o.Region = region }
}

// Transport returns an [http.RoundTripper] that calls the server in process: no
// socket and no goroutine, so it works in a testing/synctest bubble.
func (s *Server) Transport() http.RoundTripper { return inProcess{s} }

type inProcess struct{ server *Server }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	defer func() { _ = r.Body.Close() }()
	status, body, err := p.server.answer(r)
	if ctxErr := r.Context().Err(); ctxErr != nil {
		return nil, ctxErr
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amzn-Requestid": {newUUID()}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r,
	}, nil
}
