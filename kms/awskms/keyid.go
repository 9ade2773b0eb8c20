package awskms

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// parseKeyARN returns the parts of the ARN of a KMS key or alias.
func parseKeyARN(id string) (arn.ARN, bool) {
	a, err := arn.Parse(id)
	return a, err == nil && a.Service == "kms"
}

// isMultiRegion tells whether the ARN names a multi-Region key: AWS gives the
// prefix to those and to no other.
func isMultiRegion(a arn.ARN) bool { return strings.HasPrefix(a.Resource, "key/mrk-") }

// localize returns the key id to send: id itself, or for a multi-Region key of
// another Region the ARN of its replica in the client's Region. KMS accepts an ARN
// only in the Region that it names.
func (w *Wrapper) localize(id string) string {
	a, ok := parseKeyARN(id)
	if !ok || w.region == "" || a.Region == w.region || !isMultiRegion(a) {
		return id
	}
	a.Region = w.region
	return a.String()
}

// trusts tells whether WithTrustedKeys allows the stored key id.
func (w *Wrapper) trusts(id string) bool {
	if w.trusted == nil {
		return true
	}
	a, isARN := parseKeyARN(id)
	for _, t := range w.trusted {
		if t == id || isARN && t == a.AccountID {
			return true
		}
		if ta, ok := parseKeyARN(t); ok && isARN && isMultiRegion(a) {
			ta.Region = a.Region
			if ta == a {
				return true
			}
		}
	}
	return false
}

// otherRegion returns the Region of id when it is an ARN of a key that cannot be
// reached in the client's Region, else "".
func (w *Wrapper) otherRegion(id string) string {
	a, ok := parseKeyARN(w.localize(id))
	if !ok || w.region == "" || a.Region == w.region {
		return ""
	}
	return a.Region
}
