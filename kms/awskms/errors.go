package awskms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

// operation is one call as its errors describe it.
type operation struct {
	name   string
	keyID  string // the key that the call is about
	to     string // the destination key of a rewrap
	action string // the IAM action it needs
}

// classes sorts the error codes of KMS and of the AWS front end. Codes that are not
// listed are sorted by what the SDK knows of them, then by HTTP status.
var classes = map[string]error{
	"AccessDeniedException":               kms.ErrDenied,
	"DisabledException":                   kms.ErrKeyDisabled,
	"KMSInvalidStateException":            kms.ErrDenied, // refined by stateClass
	"NotFoundException":                   kms.ErrKeyNotFound,
	"InvalidArnException":                 kms.ErrKeyNotFound,
	"InvalidKeyUsageException":            kms.ErrDenied,
	"InvalidGrantTokenException":          kms.ErrDenied,
	"InvalidCiphertextException":          kms.ErrInvalidWrapped,
	"IncorrectKeyException":               kms.ErrInvalidWrapped,
	"CustomKeyStoreInvalidStateException": kms.ErrUnavailable,
	"CloudHsmClusterNotActiveException":   kms.ErrUnavailable,
	"KeyUnavailableException":             kms.ErrUnavailable,
	"KMSInternalException":                kms.ErrUnavailable,
	"DependencyTimeoutException":          kms.ErrTimeout,
	"InternalFailure":                     kms.ErrUnavailable,
	"InternalError":                       kms.ErrUnavailable,
	"InternalServerError":                 kms.ErrUnavailable,
	"ServiceUnavailable":                  kms.ErrUnavailable,
	"ServiceUnavailableException":         kms.ErrUnavailable,
	"ServiceException":                    kms.ErrUnavailable,
	"UnknownError":                        kms.ErrUnavailable, // the SDK's word for an answer that is not KMS's
	// About the credentials or the clock of this process, which KMS did not get to
	// hold against the key: new credentials repair it.
	"ExpiredTokenException":               kms.ErrUnavailable,
	"InvalidClientTokenId":                kms.ErrUnavailable,
	"UnrecognizedClientException":         kms.ErrUnavailable,
	"InvalidSignatureException":           kms.ErrUnavailable,
	"IncompleteSignature":                 kms.ErrUnavailable,
	"SignatureDoesNotMatch":               kms.ErrUnavailable,
	"MissingAuthenticationTokenException": kms.ErrUnavailable,
	"MissingAuthenticationToken":          kms.ErrUnavailable,
	"RequestExpired":                      kms.ErrUnavailable,
}

// stateClass refines the answers about a key that is not in the state Enabled. KMS
// says "pending deletion" under two codes, so the words decide.
func stateClass(class error, message string) error {
	m := strings.ToLower(message)
	switch {
	case strings.Contains(m, "pending deletion"), strings.Contains(m, "pendingdeletion"),
		strings.Contains(m, "pending replica deletion"), strings.Contains(m, "pendingreplicadeletion"):
		return kms.ErrKeyPendingDeletion
	case errors.Is(class, kms.ErrKeyDisabled):
		return class
	case strings.Contains(m, "unavailable"), strings.Contains(m, "creating"), strings.Contains(m, "updating"),
		strings.Contains(m, "cannot communicate"), strings.Contains(m, "timed out"):
		// A custom key store that is disconnected or does not answer, or a
		// multi-Region key on its way: it may pass by itself.
		return kms.ErrUnavailable
	case strings.Contains(m, "is disabled"):
		return kms.ErrKeyDisabled
	}
	return kms.ErrDenied
}

// classify turns an error of the SDK into one of package kms. ctx is the caller's
// context, not the one that Wrapper's own timeout bounds.
//
// The SDK's error is not kept as a whole: it leads to the HTTP response, and for an
// answer that cannot be parsed it has room for bytes of it (Snapshot of
// smithy.DeserializationError), which may be a plaintext key.
func (w *Wrapper) classify(ctx context.Context, op operation, err error) error {
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) {
		return w.classifyAPI(op, err, apiErr)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var netErr net.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return op.fail(kms.ErrTimeout, ctx.Err(), "the caller's deadline passed", "check the network path to the endpoint, or allow more time")
	case errors.Is(err, context.DeadlineExceeded):
		return op.fail(kms.ErrTimeout, nil, "", "check the network path to the endpoint, or allow more time")
	case errors.As(err, &netErr) && netErr.Timeout():
		return op.fail(kms.ErrTimeout, netErr, envelope.OneLine(netErr.Error()), "check the network path to the endpoint")
	}
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) {
		return op.fail(kms.ErrUnavailable, send.Err, envelope.OneLine(send.Err.Error()), "check the endpoint, the Region and the network path to it")
	}
	var parse *smithy.DeserializationError
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		reason, hint := fmt.Sprintf("the answer, with HTTP status %d, cannot be read", answer.HTTPStatusCode()), notKMSHint
		if answer.HTTPStatusCode() >= 500 {
			hint = "try again later; if it lasts, " + hint // a proxy or load balancer that finds no KMS behind it
		}
		return op.fail(kms.ErrUnavailable, nil, reason, hint)
	}
	if errors.As(err, &parse) {
		return op.notKMS("the answer cannot be read")
	}
	// Nothing was sent: no credentials, no Region, no endpoint.
	return op.fail(kms.ErrUnavailable, err, envelope.OneLine(err.Error()), "check the AWS credentials, Region and endpoint of this process")
}

func (w *Wrapper) classifyAPI(op operation, err error, apiErr smithy.APIError) error {
	code, message := apiErr.ErrorCode(), apiErr.ErrorMessage()
	status, request := 0, ""
	var answer interface {
		HTTPStatusCode() int
		ServiceRequestID() string
	}
	if errors.As(err, &answer) {
		status, request = answer.HTTPStatusCode(), answer.ServiceRequestID()
	}
	class, known := classes[code]
	if !known {
		class = classByStatus(code, status)
	}
	if code == "DisabledException" || code == "KMSInvalidStateException" {
		class = stateClass(class, message)
	}
	reason := code
	if message != "" {
		reason = envelope.OneLine(code + ": " + message)
	}
	if code == "UnknownError" {
		reason = fmt.Sprintf("HTTP status %d with an answer that is not KMS's", status)
	}
	if request != "" {
		reason += " (request id " + envelope.OneLine(request) + ")"
	}
	return op.fail(class, apiErr, reason, w.hint(op, class, code))
}

func classByStatus(code string, status int) error {
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok || status == http.StatusTooManyRequests {
		return kms.ErrThrottled
	}
	if _, ok := retry.DefaultRetryableErrorCodes[code]; ok || status == http.StatusRequestTimeout {
		return kms.ErrTimeout
	}
	if status >= 500 || status == 0 {
		return kms.ErrUnavailable
	}
	return kms.ErrDenied
}

// hint says what to do about an answer of KMS.
func (w *Wrapper) hint(op operation, class error, code string) string {
	switch {
	case code == "AccessDeniedException" && op.to != "":
		return fmt.Sprintf("allow kms:ReEncryptFrom on %s and kms:ReEncryptTo on %s for this role, in its IAM policy and in the policies of the keys", op.keyID, op.to)
	case code == "AccessDeniedException":
		return fmt.Sprintf("allow %s on this key for this role, in its IAM policy and in the policy of the key", op.action)
	case code == "UnknownError":
		return notKMSHint
	case code == "ValidationException":
		return "check the key id or alias"
	case code == "InvalidKeyUsageException":
		return "use a symmetric encryption key (KeyUsage ENCRYPT_DECRYPT, KeySpec SYMMETRIC_DEFAULT)"
	case strings.Contains(code, "Token") || strings.Contains(code, "Signature") || code == "UnrecognizedClientException":
		return "check the AWS credentials and the clock of this process"
	case errors.Is(class, kms.ErrKeyNotFound):
		for _, id := range []string{op.keyID, op.to} {
			if r := w.otherRegion(id); r != "" {
				return fmt.Sprintf("%s is in Region %s but the client asks in %s: make the client for that Region, or use a multi-Region key", id, r, w.region)
			}
		}
		return "check the key id or alias, the account and the Region"
	case errors.Is(class, kms.ErrKeyDisabled):
		return "enable the key (kms:EnableKey) if it was not switched off on purpose"
	case errors.Is(class, kms.ErrKeyPendingDeletion):
		return "cancel the deletion (kms:CancelKeyDeletion) before its date, or everything under this key is lost"
	case errors.Is(class, kms.ErrInvalidWrapped):
		return "the wrapped key, its key id or its encryption context was changed since it was made; restore the row of the key table"
	case errors.Is(class, kms.ErrThrottled):
		return "try again later; if it lasts, ask for a higher KMS request quota"
	case errors.Is(class, kms.ErrUnavailable):
		return "try again later"
	}
	return ""
}

// checkMetadata judges what DescribeKey says.
func (op operation) checkMetadata(m *types.KeyMetadata) error {
	switch m.KeyState {
	case types.KeyStateEnabled, "":
	case types.KeyStateDisabled:
		return op.fail(kms.ErrKeyDisabled, nil, "", "enable the key (kms:EnableKey)")
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return op.fail(kms.ErrKeyPendingDeletion, nil, "", "cancel the deletion (kms:CancelKeyDeletion) or use another key")
	case types.KeyStateUnavailable, types.KeyStateCreating, types.KeyStateUpdating:
		return op.fail(kms.ErrUnavailable, nil, "the key is in state "+string(m.KeyState), "wait, or connect its custom key store")
	default:
		return op.fail(kms.ErrDenied, nil, "the key is in state "+string(m.KeyState), "use a key in state Enabled")
	}
	if m.KeyUsage != "" && m.KeyUsage != types.KeyUsageTypeEncryptDecrypt || m.KeySpec != "" && m.KeySpec != types.KeySpecSymmetricDefault {
		return op.fail(kms.ErrDenied, nil, fmt.Sprintf("its usage is %s and its spec %s", m.KeyUsage, m.KeySpec),
			"use a symmetric encryption key (KeyUsage ENCRYPT_DECRYPT, KeySpec SYMMETRIC_DEFAULT)")
	}
	return nil
}

func (op operation) fail(class, cause error, reason, hint string) error {
	return &kms.Error{Op: op.name, KeyID: envelope.OneLine(op.keyID), Class: class, Reason: reason, Hint: hint, Cause: cause}
}

const notKMSHint = "check that the endpoint is KMS"

// notKMS is for a successful answer that KMS would not give: something else
// answers at the endpoint.
func (op operation) notKMS(reason string) error {
	return op.fail(kms.ErrUnavailable, nil, reason, notKMSHint)
}
