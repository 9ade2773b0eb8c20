package codec

import (
	"strings"
	"time"
)

var (
	errTimeText = refuse(KindTime, "neither RFC 3339 nor a PostgreSQL timestamp in ISO style")
	errNoZone   = refuse(KindTime, "a text without a zone is an instant only in the session's TimeZone, which is not known: give a time.Time, or write the zone, such as Z or +02")
)

// parseTime reads RFC 3339 and what PostgreSQL writes for timestamps and dates in its ISO style: a "T" or space between date and
// time, years of four to six digits, an optional " BC", a zone of "Z", ±hh, ±hhmm, ±hh:mm or ±hh:mm:ss. Without
// a zone it is local time of the session's; without a time it is midnight. Digits beyond nanoseconds are dropped.
func (session Session) parseTime(s string) (time.Time, error) {
	s = trimSpace(s)
	if strings.EqualFold(strings.TrimPrefix(s, "-"), "infinity") {
		return time.Time{}, refuse(KindTime, "infinity has no encoding: use NULL or a far date")
	}
	s, bc := strings.CutSuffix(s, " BC")
	p := scanner{rest: s}
	year := p.number(4, 6)
	p.expect('-')
	month := p.number(2, 2)
	p.expect('-')
	day := p.number(2, 2)
	var hour, minute, second, nano, offset int
	var zoned bool
	if p.accept('T') || p.accept('t') || p.accept(' ') {
		hour = p.number(2, 2)
		p.expect(':')
		minute = p.number(2, 2)
		if p.accept(':') {
			second = p.number(2, 2)
		}
		if p.accept('.') {
			nano = p.fraction()
		}
		offset, zoned = p.zone()
	}
	if p.failed || p.rest != "" || hour > 23 || minute > 59 || second > 59 || year == 0 {
		return time.Time{}, errTimeText
	}
	if bc {
		year = 1 - year
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC)
	// time.Date makes 2 March of 30 February.
	if t.Month() != time.Month(month) || t.Day() != day {
		return time.Time{}, errTimeText
	}
	switch {
	case zoned:
	case session.TimeZone == nil:
		return time.Time{}, errNoZone
	default:
		offset = localOffset(session.TimeZone, t.Unix())
	}
	return t.Add(-time.Duration(offset) * time.Second), nil
}

// localOffset returns how many seconds east of UTC the wall clock is in loc when it shows what a clock in UTC shows at unix. Where that
// happens twice or never, at a change of the offset, it is what PostgreSQL takes: the offset after the change if the clock was turned
// back, and the one before it if it was turned forward.
func localOffset(loc *time.Location, unix int64) int {
	const day = 24 * 60 * 60
	dayBefore := time.Unix(unix-day, 0).In(loc)
	_, before := dayBefore.Zone()
	_, change := dayBefore.ZoneBounds()
	if change.IsZero() {
		return before
	}
	_, after := change.Zone()
	if unix-int64(after) < change.Unix() {
		return before
	}
	return after
}

// scanner reads ASCII from the left. After a failure it only fails.
type scanner struct {
	rest   string
	failed bool
}

func (p *scanner) accept(c byte) bool {
	if p.failed || p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *scanner) expect(c byte) {
	if !p.accept(c) {
		p.failed = true
	}
}

// number reads from shortest to longest digits; longest is small enough for int.
func (p *scanner) number(shortest, longest int) int {
	n, digits := 0, 0
	for digits < longest && digits < len(p.rest) && isDigit(p.rest[digits]) {
		n = n*10 + int(p.rest[digits]-'0')
		digits++
	}
	if digits < shortest {
		p.failed = true
	}
	p.rest = p.rest[digits:]
	return n
}

// fraction reads the digits after a second's point, in nanoseconds.
func (p *scanner) fraction() int {
	nano, unit, digits := 0, 100_000_000, 0
	for digits < len(p.rest) && isDigit(p.rest[digits]) {
		nano += int(p.rest[digits]-'0') * unit
		unit /= 10
		digits++
	}
	if digits == 0 {
		p.failed = true
	}
	p.rest = p.rest[digits:]
	return nano
}

// zone reads an optional zone, in seconds east of UTC.
func (p *scanner) zone() (offset int, zoned bool) {
	p.accept(' ')
	if p.rest == "" {
		return 0, false
	}
	if p.accept('Z') || p.accept('z') {
		return 0, true
	}
	sign := 1
	if p.accept('-') {
		sign = -1
	} else {
		p.expect('+')
	}
	hours, minutes, seconds := p.number(2, 2), 0, 0
	if p.accept(':') || p.rest != "" {
		minutes = p.number(2, 2)
		if p.accept(':') {
			seconds = p.number(2, 2)
		}
	}
	if hours > 15 || minutes > 59 || seconds > 59 {
		p.failed = true
	}
	return sign * (hours*3600 + minutes*60 + seconds), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
