package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/codec"
)

// sealTag is a seal tag as it was written.
type sealTag struct {
	skip bool // seal:"-"
	mode Mode
	name string
	id   string
	join string
	kind Kind // 0 when it is to be inferred

	min, max, step string
	cursor, inbox  bool
	terms          codec.Terms

	stage  Stage
	stored string
}

// tagError is a mistake in a tag; where it stands is added by the caller.
type tagError struct{ reason, hint string }

func (e *tagError) Error() string { return e.reason + "; " + e.hint }

// tagOptions are the options with a value, tagFlags those without.
var (
	tagOptions = []string{"name", "id", "join", "kind", "min", "max", "step", "prefix", "suffix", "stage", "stored"}
	tagFlags   = []string{"cursor", "equal", "fold", "elements", "inbox"}
)

const grammar = `write seal:"MODE[,name=COLUMN][,id=IDENTITY][,join=GROUP][,kind=KIND][,min=V][,max=V][,step=V][,cursor][,equal][,fold][,prefix=[MIN-]MAX][,suffix=[MIN-]MAX][,elements][,inbox][,stage=STAGE][,stored=COLUMN]"`

// parseSealTag reads the value of a seal tag:
//
//	tag    = "-" | mode { "," option }
//	mode   = "random" | "deterministic" | "ordered"
//	option = ( "name" | "id" | "join" | "kind" | "min" | "max" | "step" | "prefix" | "suffix" | "stage" | "stored" ) "=" value
//	       | "cursor" | "equal" | "fold" | "elements" | "inbox"
//	value  = one or more characters except ","
func parseSealTag(s string) (sealTag, *tagError) {
	if s == "-" {
		return sealTag{skip: true}, nil
	}
	parts := strings.Split(s, ",")
	var t sealTag
	var ok bool
	if t.mode, ok = parseMode(parts[0]); !ok {
		return sealTag{}, modeError(s, parts[0])
	}
	var seen []string
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		if slices.Contains(seen, key) {
			return sealTag{}, &tagError{fmt.Sprintf("option %s is given twice", optionName(key)), "keep one of them"}
		}
		seen = append(seen, key)
		if err := t.set(part, key, value); err != nil {
			return sealTag{}, err
		}
	}
	return t, nil
}

func (t *sealTag) set(part, key, value string) *tagError {
	switch {
	case part == "":
		return &tagError{"the seal tag has an empty option", "remove the comma"}
	case slices.Contains(tagFlags, key):
		if part != key {
			return &tagError{fmt.Sprintf("option %s has a value", key), "write " + key + " alone"}
		}
	case !slices.Contains(tagOptions, key):
		return optionError(part, key)
	case value == "":
		return &tagError{fmt.Sprintf("option %s= has no value", key), "give it a value, or remove it"}
	}
	switch key {
	case "equal":
		t.terms.Equal = true
	case "fold":
		t.terms.Fold = true
	case "elements":
		t.terms.Elements = true
	case "prefix":
		return t.lengths(key, value, &t.terms.Prefix)
	case "suffix":
		return t.lengths(key, value, &t.terms.Suffix)
	case "cursor":
		t.cursor = true
	case "inbox":
		t.inbox = true
	case "min":
		t.min = value
	case "max":
		t.max = value
	case "step":
		t.step = value
	case "name":
		t.name = value
	case "id":
		t.id = value
	case "join":
		t.join = value
	case "kind":
		k, err := codec.ParseKind(value)
		if err != nil {
			return &tagError{fmt.Sprintf("unknown kind %q", value), meantKind(value)}
		}
		t.kind = k
	case "stage":
		stage, ok := ParseStage(value)
		if !ok {
			return &tagError{fmt.Sprintf("unknown stage %q", value), didYouMean(value, stageNames[1:])}
		}
		t.stage = stage
	case "stored":
		t.stored = value
	}
	return nil
}

// leastLength is the default for the shortest prefixes and suffixes. Shorter ones can be guessed
// from how often letters begin and end words.
const leastLength = 3

// lengths reads [MIN-]MAX.
func (t *sealTag) lengths(key, value string, to *codec.Lengths) *tagError {
	low, high, both := strings.Cut(value, "-")
	if !both {
		low, high = strconv.Itoa(leastLength), value
	}
	terms, err := codec.ParseTerms(key + "=" + low + "-" + high)
	if err != nil {
		return &tagError{fmt.Sprintf("option %s=%s does not say lengths", key, value),
			fmt.Sprintf("write %s=MAX, at least %d and at most %d, or %[1]s=MIN-MAX", key, leastLength, codec.MaxTokens)}
	}
	*to = terms.Prefix
	if key == "suffix" {
		*to = terms.Suffix
	}
	return nil
}

// optionName is how an option is written.
func optionName(key string) string {
	if slices.Contains(tagFlags, key) {
		return key
	}
	return key + "="
}

var modeNames = []string{ModeRandomized.String(), ModeDeterministic.String(), ModeOrdered.String()}

func modeError(whole, mode string) *tagError {
	if whole == "" {
		return &tagError{"the seal tag is empty", "write random, deterministic or ordered"}
	}
	key, _, isOption := strings.Cut(mode, "=")
	if isOption && slices.Contains(tagOptions, key) {
		return &tagError{fmt.Sprintf("the seal tag starts with %s= instead of a mode", key), grammar}
	}
	if near := strings.TrimSpace(mode); near != mode {
		return &tagError{fmt.Sprintf("unknown mode %q", mode), "remove the blanks"}
	}
	return &tagError{fmt.Sprintf("unknown mode %q", mode), didYouMean(mode, modeNames)}
}

func optionError(part, key string) *tagError {
	if trimmed := strings.TrimSpace(key); trimmed != key && slices.Contains(tagOptions, trimmed) {
		return &tagError{fmt.Sprintf("unknown option %q", key), "remove the blanks"}
	}
	if _, ok := parseMode(part); ok {
		return &tagError{fmt.Sprintf("the mode %s stands among the options", part), "give one mode, and give it first"}
	}
	if _, err := codec.ParseKind(part); err == nil {
		return &tagError{fmt.Sprintf("unknown option %q", part), "write kind=" + part}
	}
	if near, ok := nearest(key, slices.Concat(tagOptions, tagFlags)); ok {
		return &tagError{fmt.Sprintf("unknown option %q", key), "did you mean " + optionName(near) + "?"}
	}
	return &tagError{fmt.Sprintf("unknown option %q", key), grammar}
}

// lookupSeal reads the seal tag of a field. It is stricter than
// reflect.StructTag.Lookup: what that would silently not find, and so leave
// the column in plaintext, is an error here.
func lookupSeal(tag reflect.StructTag) (value string, found bool, err *tagError) {
	rest := string(tag)
	for rest != "" {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" {
			break
		}
		key, quotedValue, after, ok := cutTagPair(rest)
		if !ok {
			if strings.Contains(strings.ToLower(rest), "seal") {
				return "", false, &tagError{"the struct tag is malformed and Go would not see its seal key",
					`write it as key:"value" pairs separated by one space: db:"email" seal:"random"`}
			}
			break
		}
		rest = after
		switch {
		case key == "seal" && found:
			return "", false, &tagError{"the struct tag has two seal keys", "keep one of them"}
		case key == "seal":
			v, uerr := strconv.Unquote(quotedValue)
			if uerr != nil {
				return "", false, &tagError{"the value of the seal key is not a Go string", grammar}
			}
			value, found = v, true
		case isMisspelt(key):
			return "", false, &tagError{fmt.Sprintf("the struct tag has the key %s", key), "did you mean seal?"}
		}
	}
	return value, found, nil
}

// cutTagPair cuts one key:"value" pair from the front of a struct tag, as
// reflect does. Two pairs without a space between them are not a pair: go vet
// says the same.
func cutTagPair(s string) (key, quotedValue, rest string, ok bool) {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] != ':' && s[i] != '"' && s[i] != 0x7f {
		i++
	}
	if i == 0 || i+1 >= len(s) || s[i] != ':' || s[i+1] != '"' {
		return "", "", "", false
	}
	key = s[:i]
	end := i + 2
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return "", "", "", false
	}
	return key, s[i+1 : end+1], s[end+1:], true
}

// isMisspelt says whether a key was surely meant to be seal. Words of other
// libraries, such as real or meal, are not taken for one.
func isMisspelt(key string) bool {
	switch strings.ToLower(key) {
	case "seal", "seals", "sealed", "colseal", "sael", "seel", "saeal", "seaal", "seall":
		return true
	}
	return false
}
