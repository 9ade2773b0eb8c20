package kmstest

import (
	"errors"
	"net/http"
)

// errRefused: the request gets no answer and its connection is closed.
var errRefused = errors.New("kmstest: connection refused")

// apiError is an error answer of KMS, in its JSON form.
type apiError struct {
	Code    string `json:"__type"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"-"` // 0: as KMS has it for the code
}

func (e *apiError) status() int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case "KMSInternalException", "KeyUnavailableException", "InternalFailure":
		return http.StatusInternalServerError
	case "DependencyTimeoutException", "ServiceUnavailable", "ServiceUnavailableException":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

func validation(message string) *apiError {
	return &apiError{Code: "ValidationException", Message: message}
}

func notFound(message string) *apiError {
	return &apiError{Code: "NotFoundException", Message: message}
}

func denied(account, action, resource string) *apiError {
	return &apiError{Code: "AccessDeniedException", Message: "User: arn:aws:iam::" + account + ":user/test is not authorized to perform: kms:" +
		action + " on resource: " + resource + " because no resource-based policy allows the kms:" + action + " action"}
}

// errUnknownSource is what KMS says of a ciphertext whose key it cannot find.
var errUnknownSource = &apiError{Code: "AccessDeniedException", Message: "The ciphertext refers to a customer master key that does not exist, " +
	"does not exist in this region, or you are not allowed to access."}

var errIncorrectKey = &apiError{Code: "IncorrectKeyException", Message: "The key ID in the request does not identify a CMK that can perform this operation."}

// errCiphertext has no message, as in KMS: it does not say what is wrong.
var errCiphertext = &apiError{Code: "InvalidCiphertextException"}
