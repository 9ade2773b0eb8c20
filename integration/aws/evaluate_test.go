package aws

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The part of IAM's policy language that the page uses. What is not known here is an error,
// so that no condition is passed over.

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid         string
	Effect      string
	Principal   map[string]words
	Action      words
	Resource    words
	NotResource words
	Condition   map[string]map[string]words
}

// words is a string or a list of strings.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// request is what IAM sees of a request to KMS.
type request struct {
	principal string
	action    string
	resource  string
	context   map[string]string // the encryption context
	alias     string            // by which the key was named, or ""
	aliases   []string          // of the key
}

// allows evaluates a policy: an explicit Deny wins, and what is not allowed is denied.
func (p policy) allows(r request) (bool, error) {
	allowed := false
	for _, s := range p.Statement {
		applies, err := s.applies(r)
		if err != nil {
			return false, fmt.Errorf("statement %s: %w", s.Sid, err)
		}
		switch {
		case !applies:
		case s.Effect == "Deny":
			return false, nil
		case s.Effect == "Allow":
			allowed = true
		default:
			return false, fmt.Errorf("statement %s: effect %q", s.Sid, s.Effect)
		}
	}
	return allowed, nil
}

func (s statement) applies(r request) (bool, error) {
	if s.Principal != nil && !slices.Contains(s.Principal["AWS"], r.principal) {
		return false, nil
	}
	if !s.Action.match(r.action) {
		return false, nil
	}
	if s.NotResource != nil && s.NotResource.match(r.resource) || s.NotResource == nil && !s.Resource.match(r.resource) {
		return false, nil
	}
	for operator, conditions := range s.Condition {
		for key, want := range conditions {
			ok, err := condition(operator, key, want, r)
			if err != nil || !ok {
				return false, err
			}
		}
	}
	return true, nil
}

// match compares as IAM does: a star stands for anything, slashes included.
func (w words) match(s string) bool {
	return slices.ContainsFunc(w, func(pattern string) bool {
		ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(s, "/", "\x00"))
		return err == nil && ok
	})
}

func condition(operator, key string, want words, r request) (bool, error) {
	values, err := r.values(key)
	if err != nil {
		return false, err
	}
	switch operator {
	case "StringEquals", "StringLike":
		return len(values) == 1 && want.match(values[0]), nil
	case "ForAllValues:StringEquals":
		return !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(want, v) }), nil
	case "ForAnyValue:StringEquals":
		return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(want, v) }), nil
	case "Null":
		return len(want) == 1 && (want[0] == "true") == (len(values) == 0), nil
	}
	return false, fmt.Errorf("operator %q is not known to this test", operator)
}

// values returns what a condition key has in a request.
func (r request) values(key string) ([]string, error) {
	if name, ok := strings.CutPrefix(key, "kms:EncryptionContext:"); ok {
		if v, ok := r.context[name]; ok {
			return []string{v}, nil
		}
		return nil, nil
	}
	switch key {
	case "kms:EncryptionContextKeys":
		var names []string
		for name := range r.context {
			names = append(names, name)
		}
		return names, nil
	case "kms:RequestAlias":
		if r.alias == "" {
			return nil, nil
		}
		return []string{r.alias}, nil
	case "kms:ResourceAliases":
		return r.aliases, nil
	}
	return nil, fmt.Errorf("condition key %q is not known to this test", key)
}
