package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const daySeconds = 24 * 60 * 60

// The range of dates and times, as days and seconds since 1970-01-01 00:00:00. It begins where
// PostgreSQL's does. Dates end where PostgreSQL's do; timestamps end at the last whole year whose
// microseconds since 1970 fit into int64, 30 years before PostgreSQL's, which count from 2000.
const (
	minDay     = -2_440_588               // 4714-11-24 BC
	maxDay     = 2_145_042_905            // 5874897-12-31
	minSeconds = minDay * daySeconds      // 4714-11-24 00:00:00 BC
	endSeconds = 106_751_982 * daySeconds // 294247-01-01 00:00:00
)

// The encodings of infinity and -infinity, beyond every range.
const (
	pastDay      = math.MinInt32
	futureDay    = math.MaxInt32
	pastMicros   = math.MinInt64
	futureMicros = math.MaxInt64
)

// moment is what the text of a date, timestamp or instant says. Which of it counts depends on the
// kind.
type moment struct {
	infinite int   // -1 for -infinity, 1 for infinity
	day      int64 // days since 1970-01-01
	clock    int64 // seconds of the time of day, 0 to 86400
	micros   int64 // 0 to 1000000
	offset   int   // of the zone, in seconds east of UTC
	zoned    bool
}

// appendDate takes the calendar date of a time in its own location and of a text as it is written,
// whatever time of day and zone follow: pgx and PostgreSQL do so for a column of type date.
func appendDate(dst []byte, in *input) ([]byte, error) {
	var day int64
	if in.form == formTime {
		year, month, date := in.t.Date()
		day = time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix() / daySeconds
	} else {
		m, err := in.parseMoment(KindDate)
		if err != nil {
			return nil, err
		}
		switch m.infinite {
		case -1:
			return appendInt32(dst, pastDay), nil
		case 1:
			return appendInt32(dst, futureDay), nil
		}
		day = m.day
	}
	if day < minDay || day > maxDay {
		return nil, refuse(KindDate, "not between 4714-11-24 BC and 5874897-12-31")
	}
	return appendInt32(dst, int32(day)), nil
}

// appendTimestamp takes what the clock shows: of a time in its own location, and of a text as it is
// written, without its zone.
func appendTimestamp(dst []byte, in *input) ([]byte, error) {
	if in.form == formTime {
		_, offset := in.t.Zone()
		return appendMicros(dst, KindTimestamp, in.t.Unix()+int64(offset), int64(in.t.Nanosecond())/1000)
	}
	m, err := in.parseMoment(KindTimestamp)
	if err != nil || m.infinite != 0 {
		return m.appendInfinite(dst, err)
	}
	return appendMicros(dst, KindTimestamp, m.day*daySeconds+m.clock, m.micros)
}

// appendTime takes an instant.
func (s Session) appendTime(dst []byte, in *input) ([]byte, error) {
	if in.form == formTime {
		return appendMicros(dst, KindTime, in.t.Unix(), int64(in.t.Nanosecond())/1000)
	}
	m, err := in.parseMoment(KindTime)
	if err != nil || m.infinite != 0 {
		return m.appendInfinite(dst, err)
	}
	seconds := m.day*daySeconds + m.clock
	switch {
	case m.zoned:
		seconds -= int64(m.offset)
	case s.TimeZone == nil:
		return nil, errNoZone
	default:
		seconds -= localOffset(s.TimeZone, seconds)
	}
	return appendMicros(dst, KindTime, seconds, m.micros)
}

func (m moment) appendInfinite(dst []byte, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case m.infinite < 0:
		return appendInt64(dst, pastMicros), nil
	}
	return appendInt64(dst, futureMicros), nil
}

func appendMicros(dst []byte, kind Kind, seconds, micros int64) ([]byte, error) {
	seconds, micros = seconds+micros/1_000_000, micros%1_000_000
	if seconds < minSeconds || seconds >= endSeconds {
		return nil, refuse(kind, "not between 4714-11-24 BC and 294246-12-31")
	}
	return appendInt64(dst, seconds*1_000_000+micros), nil
}

func appendInt32(dst []byte, i int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(i)) }
func appendInt64(dst []byte, i int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(i)) }

func canonicalDate(day int32) bool {
	return day == pastDay || day == futureDay || day >= minDay && day <= maxDay
}

func canonicalMicros(micros int64) bool {
	return micros == pastMicros || micros == futureMicros || micros >= minSeconds*1_000_000 && micros < endSeconds*1_000_000
}

// decodeDate returns midnight in UTC, as pgx does; infinity is a string, as it is from pgx's
// stdlib.
func decodeDate(day int32) any {
	switch day {
	case pastDay:
		return "-infinity"
	case futureDay:
		return "infinity"
	}
	return time.Unix(int64(day)*daySeconds, 0).UTC()
}

// decodeMicros returns a time in loc; infinity is a string, as it is from pgx's stdlib.
func decodeMicros(micros int64, loc *time.Location) any {
	switch micros {
	case pastMicros:
		return "-infinity"
	case futureMicros:
		return "infinity"
	}
	return time.UnixMicro(micros).In(loc)
}

// AppendTime appends the text that PostgreSQL writes for a value of [KindTime], [KindDate] or
// [KindTimestamp] in ISO style: an instant in UTC, and what t's clock and calendar show for the
// others.
func AppendTime(dst []byte, kind Kind, t time.Time) []byte {
	return appendTimeIn(dst, kind, t, time.UTC)
}

// appendTimeIn is AppendTime with instants in loc.
func appendTimeIn(dst []byte, kind Kind, t time.Time, loc *time.Location) []byte {
	layout := "-01-02 15:04:05.999999"
	switch kind {
	case KindTime:
		t = t.In(loc)
		_, offset := t.Zone()
		switch layout += "-07"; {
		case offset%60 != 0:
			layout += ":00:00"
		case offset%3600 != 0:
			layout += ":00"
		}
	case KindDate:
		layout = "-01-02"
	}
	year, suffix := t.Year(), ""
	if year <= 0 {
		year, suffix = 1-year, " BC"
	}
	dst = fmt.Appendf(dst, "%04d", year)
	return append(t.AppendFormat(dst, layout), suffix...)
}

// localOffset returns how many seconds east of UTC the wall clock is in loc when it shows what a
// clock in UTC shows at unix. Where that happens twice or never, at a change of the offset, it is
// what PostgreSQL takes: the offset after the change if the clock was turned back, and the one
// before it if it was turned forward.
func localOffset(loc *time.Location, unix int64) int64 {
	dayBefore := time.Unix(unix-daySeconds, 0).In(loc)
	_, before := dayBefore.Zone()
	_, change := dayBefore.ZoneBounds()
	if change.IsZero() {
		return int64(before)
	}
	if _, after := change.Zone(); unix-int64(after) >= change.Unix() {
		return int64(after)
	}
	return int64(before)
}

// parseMoment reads the text of a date, timestamp or instant: RFC 3339, and what PostgreSQL writes
// in its ISO style. SPEC.md has the grammar. Years of four digits or more first are a date in this
// order whatever DateStyle the session has.
func (in *input) parseMoment(kind Kind) (moment, error) {
	s, ok := in.text()
	if !ok {
		return moment{}, refuse(kind, "neither a time nor its text")
	}
	s = trimSpace(s)
	switch {
	case strings.EqualFold(s, "infinity"):
		return moment{infinite: 1}, nil
	case strings.EqualFold(s, "-infinity"):
		return moment{infinite: -1}, nil
	}
	s, bc := strings.CutSuffix(s, " BC")
	p := scanner{rest: s}
	year := p.number(4, 7)
	p.expect('-')
	month := p.number(2, 2)
	p.expect('-')
	date := p.number(2, 2)
	if year == 0 {
		p.failed = true
	}
	if bc {
		year = 1 - year
	}
	if month < 1 || month > 12 || date < 1 || date > daysOf(year, month) {
		p.failed = true
	}
	m := moment{day: dayOf(year, month, date)}
	if p.accept('T') || p.accept('t') || p.accept(' ') {
		m.clock, m.micros = p.clock()
		m.offset, m.zoned = p.zone()
	}
	if p.failed || p.rest != "" {
		return moment{}, refuse(kind, "neither RFC 3339 nor what PostgreSQL writes in ISO style")
	}
	return m, nil
}

// daysOf returns how many days a month has.
func daysOf(year, month int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4, month == 6, month == 9, month == 11:
		return 30
	}
	return 31
}

// dayOf counts the days from 1970-01-01 to a date, in years that begin with March: their leap day
// is the last one.
func dayOf(year, month, date int) int64 {
	const daysTo1970 = 719_468 // from 0000-03-01
	if month -= 3; month < 0 {
		month, year = month+12, year-1
	}
	leaps := floor(year, 4) - floor(year, 100) + floor(year, 400)
	return int64(365*year + leaps + (153*month+2)/5 + date - 1 - daysTo1970)
}

// floor divides towards minus infinity.
func floor(n, by int) int {
	if n < 0 {
		return -((by - 1 - n) / by)
	}
	return n / by
}

var errNoZone = refuse(KindTime, "a text without a zone is an instant only in the session's TimeZone, which is not known here: give a time.Time, or write the zone, as Z or +02")

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

// digits returns how many digits come next.
func (p *scanner) digits() int {
	n := 0
	for n < len(p.rest) && isDigit(p.rest[n]) {
		n++
	}
	return n
}

// number reads from shortest to longest digits; longest is small enough for int.
func (p *scanner) number(shortest, longest int) int {
	n := p.digits()
	if n < shortest || n > longest {
		p.failed = true
		return 0
	}
	i := 0
	for _, c := range []byte(p.rest[:n]) {
		i = 10*i + int(c-'0')
	}
	p.rest = p.rest[n:]
	return i
}

// clock reads a time of day: its whole seconds and microseconds. 24:00:00 and a 60th second are
// what PostgreSQL makes of them, the beginning of the next day and minute.
func (p *scanner) clock() (seconds, micros int64) {
	hour := p.number(2, 2)
	p.expect(':')
	minute, second := p.number(2, 2), 0
	if p.accept(':') {
		second = p.number(2, 2)
		if p.rest != "" && p.rest[0] == '.' {
			micros = p.fraction()
		}
	}
	switch {
	case hour > 24 || minute > 59 || second > 60,
		hour == 24 && (minute > 0 || second > 0 || micros > 0),
		second == 60 && micros > 0:
		p.failed = true
	}
	return int64(hour*3600 + minute*60 + second), micros
}

// fraction reads a point and the digits after it, and rounds them to microseconds as PostgreSQL
// does: by way of a float64, halves to even.
func (p *scanner) fraction() (micros int64) {
	point := p.rest
	p.rest = p.rest[1:]
	n := p.digits()
	p.rest = p.rest[n:]
	f, err := strconv.ParseFloat(point[:1+n], 64)
	if n == 0 || err != nil {
		p.failed = true
	}
	return int64(math.RoundToEven(f * 1e6))
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
	hours, minutes, seconds := 0, 0, 0
	if n := p.digits(); n == 4 { // hhmm
		hhmm := p.number(4, 4)
		hours, minutes = hhmm/100, hhmm%100
	} else {
		hours = p.number(2, 2)
		if p.accept(':') {
			minutes = p.number(2, 2)
			if p.accept(':') {
				seconds = p.number(2, 2)
			}
		}
	}
	if hours > 15 || minutes > 59 || seconds > 59 {
		p.failed = true
	}
	return sign * (hours*3600 + minutes*60 + seconds), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
