package codec

import (
	"strconv"
	"time"
)

// AppendConverted appends the encoding as kind to of the value that encoding, an encoding of kind
// from, holds: the value is written as text, as PostgreSQL writes it, and the text is read as the
// other kind. Bytes are taken for the bytes of that text. An instant becomes a date or a timestamp,
// and they become one, in s.TimeZone only.
//
// The error is ErrValue if the text is not one of the other kind, or depends on a time zone and s
// has none, and ErrFormat if encoding is not one of kind from.
func (s Session) AppendConverted(dst []byte, to Kind, suite Suite, from Kind, encoding []byte) ([]byte, error) {
	v, err := DecodeValue(from, encoding)
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case int64:
		v = strconv.FormatInt(x, 10)
	case float64:
		v = strconv.FormatFloat(x, 'g', -1, 64)
	case bool:
		v = strconv.FormatBool(x)
	case time.Time:
		loc := s.TimeZone
		if loc == nil {
			if from == KindTime && (to == KindDate || to == KindTimestamp) {
				return nil, refuse(to, "an instant has a date only in a time zone, and none is known here")
			}
			loc = time.UTC
		}
		v = appendTimeIn(nil, from, x, loc)
	}
	return s.AppendValue(dst, to, suite, v)
}
