// Package gcptest is a server of Google Cloud KMS's own gRPC service definitions, for tests.
package gcptest

import (
	"context"
	"crypto/cipher"
	"fmt"
	"hash/crc32"
	"net"
	"sync"

	gcp "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/colseal/colseal/kms/kmstest"
)

// Key is the server's key.
const Key = "projects/test/locations/here/keyRings/ring/cryptoKeys/app"

// A Server has one key. It is safe for concurrent use.
type Server struct {
	kmspb.UnimplementedKeyManagementServiceServer
	grpc     *grpc.Server
	listener *cuttable

	mu       sync.Mutex // guards what is below
	versions []cipher.AEAD
	in       kmstest.Condition
}

// New starts a server. Close ends it.
func New() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{grpc: grpc.NewServer(), listener: &cuttable{Listener: l, open: map[net.Conn]bool{}}, in: kmstest.ConditionHealthy}
	s.rotate()
	kmspb.RegisterKeyManagementServiceServer(s.grpc, s)
	go func() { _ = s.grpc.Serve(s.listener) }()
	return s, nil
}

// Close ends the server.
func (s *Server) Close() { s.grpc.Stop() }

// Client returns a client of the server, which the caller closes.
func (s *Server) Client(ctx context.Context) (*gcp.KeyManagementClient, error) {
	return gcp.NewKeyManagementClient(ctx, option.WithEndpoint(s.listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
}

// cuttable is a listener whose connections can be cut.
type cuttable struct {
	net.Listener
	mu   sync.Mutex // guards what is below
	cut  bool
	open map[net.Conn]bool
}

func (l *cuttable) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = c.Close()
	} else {
		l.open[c] = true
	}
	return c, nil
}

func (l *cuttable) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for c := range l.open {
			_ = c.Close()
		}
		clear(l.open)
	}
}

func (s *Server) rotate() { s.versions = append(s.versions, kmstest.NewAEAD()) }

// Set puts the server into a condition, and reports whether it has that condition. It has none for
// an answer that is not the service's, which gRPC refuses. Only an answer of Encrypt names its key,
// so AnswerOfOtherKey changes only that.
func (s *Server) Set(c kmstest.Condition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == kmstest.ConditionAnswerMalformed {
		return false
	}
	if c == kmstest.ConditionKeyRotated {
		s.rotate()
		c = kmstest.ConditionHealthy
	}
	s.in = c
	s.listener.set(c == kmstest.ConditionUnreachable)
	return c != kmstest.ConditionAnswerOfOtherKey
}

func (s *Server) enter(ctx context.Context, key string) error {
	s.mu.Lock()
	in := s.in
	s.mu.Unlock()
	switch in {
	case kmstest.ConditionHanging:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case kmstest.ConditionAccessDenied:
		return status.Error(codes.PermissionDenied, "no")
	case kmstest.ConditionCredentialsExpired:
		return status.Error(codes.Unauthenticated, "no")
	case kmstest.ConditionThrottling:
		return status.Error(codes.ResourceExhausted, "no")
	case kmstest.ConditionServerError:
		return status.Error(codes.Internal, "no")
	case kmstest.ConditionKeyDisabled:
		return precondition("KEY_DISABLED")
	case kmstest.ConditionKeyDestroyed:
		return precondition("KEY_DESTROYED")
	case kmstest.ConditionKeyMissing:
		key = ""
	}
	if key != Key {
		return status.Error(codes.NotFound, "no")
	}
	return nil
}

func precondition(violation string) error {
	st, err := status.New(codes.FailedPrecondition, "no").WithDetails(&errdetails.PreconditionFailure{
		Violations: []*errdetails.PreconditionFailure_Violation{{Type: violation, Subject: Key}}})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func (s *Server) checksum(b []byte) *wrapperspb.Int64Value {
	sum := int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	if s.in == kmstest.ConditionAnswerCorrupt {
		sum ^= 1
	}
	return wrapperspb.Int64(sum)
}

// Encrypt implements the service.
func (s *Server) Encrypt(ctx context.Context, r *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	if err := s.enter(ctx, r.Name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.versions)
	sealed := append([]byte{byte(n)}, s.versions[n-1].Seal(nil, nil, r.Plaintext, r.AdditionalAuthenticatedData)...)
	if s.in == kmstest.ConditionAnswerHuge {
		sealed = append(sealed, make([]byte, 1<<20)...)
	}
	name := fmt.Sprintf("%s/cryptoKeyVersions/%d", Key, n)
	if s.in == kmstest.ConditionAnswerOfOtherKey {
		name = "projects/other" + name
	}
	return &kmspb.EncryptResponse{Name: name, Ciphertext: sealed, CiphertextCrc32C: s.checksum(sealed),
		VerifiedPlaintextCrc32C:                   r.PlaintextCrc32C != nil && r.PlaintextCrc32C.Value == s.checksum(r.Plaintext).Value,
		VerifiedAdditionalAuthenticatedDataCrc32C: r.AdditionalAuthenticatedDataCrc32C != nil && r.AdditionalAuthenticatedDataCrc32C.Value == s.checksum(r.AdditionalAuthenticatedData).Value}, nil
}

// Decrypt implements the service.
func (s *Server) Decrypt(ctx context.Context, r *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	if err := s.enter(ctx, r.Name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(r.Ciphertext) == 0 || int(r.Ciphertext[0]) < 1 || int(r.Ciphertext[0]) > len(s.versions) {
		return nil, status.Error(codes.InvalidArgument, "Decryption failed")
	}
	plaintext, err := s.versions[r.Ciphertext[0]-1].Open(nil, nil, r.Ciphertext[1:], r.AdditionalAuthenticatedData)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "Decryption failed")
	}
	switch s.in {
	case kmstest.ConditionAnswerTooShort:
		plaintext = plaintext[:31]
	case kmstest.ConditionAnswerHuge:
		plaintext = append(plaintext, make([]byte, 1<<20)...)
	}
	return &kmspb.DecryptResponse{Plaintext: plaintext, PlaintextCrc32C: s.checksum(plaintext), UsedPrimary: true}, nil
}

// GetCryptoKey implements the service.
func (s *Server) GetCryptoKey(ctx context.Context, r *kmspb.GetCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	if err := s.enter(ctx, r.Name); err != nil {
		return nil, err
	}
	return &kmspb.CryptoKey{Name: Key, Purpose: kmspb.CryptoKey_ENCRYPT_DECRYPT, Primary: &kmspb.CryptoKeyVersion{State: kmspb.CryptoKeyVersion_ENABLED}}, nil
}
