package pg

import "github.com/colseal/colseal/internal/sqlparse"

// typeName passes the name of a type: gram.y's Typename without SETOF and %TYPE. The
// grammar takes as much as it can, and so does this.
func (r reader) typeName(i int) (int, bool) {
	if r.kind(i) != sqlparse.TokenWord {
		return 0, false
	}
	switch {
	case r.is(i, "double") && r.is(i+1, "precision"):
		i += 2
	case r.is(i, "national"):
		i = r.varying(i + 2)
	case r.is(i, "character", "char", "nchar", "bit", "n"):
		i = r.varying(i + 1)
	case r.is(i, "time", "timestamp"):
		i = r.zone(r.maybeGroup(i + 1))
	case r.is(i, "interval"):
		if i++; r.is(i, "(") {
			i = r.maybeGroup(i)
		} else {
			i = r.intervalFields(i)
		}
	default:
		end, ok := r.name(i)
		if !ok {
			return 0, false
		}
		i = r.maybeGroup(end)
	}
	return r.bounds(i), i <= len(r.tokens)
}

// varying passes VARYING and a length.
func (r reader) varying(i int) int {
	if r.is(i, "varying") {
		i++
	}
	return r.maybeGroup(i)
}

// zone passes WITH or WITHOUT TIME ZONE.
func (r reader) zone(i int) int {
	if r.is(i, "with", "without") && r.is(i+1, "time") {
		return i + 3
	}
	return i
}

// intervalFields passes DAY, DAY TO SECOND(3) and so on.
func (r reader) intervalFields(i int) int {
	field := func(i int) bool { return r.is(i, "year", "month", "day", "hour", "minute", "second") }
	if !field(i) {
		return i
	}
	if r.is(i+1, "to") && field(i+2) {
		i += 2
	}
	if r.is(i, "second") {
		return r.maybeGroup(i + 1)
	}
	return i + 1
}

// bounds passes the bounds of an array type.
func (r reader) bounds(i int) int {
	if r.is(i, "array") {
		if i++; r.is(i, "[") {
			i, _ = r.group(i)
		}
		return i
	}
	for r.is(i, "[") {
		end, ok := r.group(i)
		if !ok {
			return i
		}
		i = end
	}
	return i
}
