package codec

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestAppendConverted(t *testing.T) {
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from Kind
		v    any
		to   Kind
		zone *time.Location
		want string // of the value; "" for ErrValue
	}{
		{KindInt, 7, KindText, nil, "7"},
		{KindText, " -7", KindInt, nil, "-7"},
		{KindText, "seven", KindInt, nil, ""},
		{KindInt, 7, KindNumeric, nil, "7"},
		{KindInt, 7, KindFloat, nil, "7"},
		{KindFloat, 0.1, KindNumeric, nil, "0.1"},
		{KindFloat, 1e21, KindNumeric, nil, "1000000000000000000000"},
		{KindFloat, 0.5, KindInt, nil, ""},
		{KindNumeric, "1.50", KindText, nil, "1.50"},
		{KindBool, true, KindText, nil, "true"},
		{KindText, "t", KindBool, nil, "true"},
		{KindBytes, []byte("ab"), KindText, nil, "ab"},
		{KindBytes, []byte{0xff}, KindText, nil, ""},
		{KindText, "ab", KindBytes, nil, "[97 98]"},
		{KindText, "ab", KindText, nil, "ab"},
		{KindUUID, [16]byte{1}, KindText, nil, "01000000-0000-0000-0000-000000000000"},
		{KindJSON, "[1]", KindText, nil, "[1]"},
		{KindTextArray, "{1,2}", KindIntArray, nil, "{1,2}"},
		{KindText, "{a}", KindTextArray, nil, "{a}"},

		// 1984-03-09 in Berlin began at 23:00 UTC the day before.
		{KindTime, "1984-03-08 23:00:00Z", KindDate, berlin, "1984-03-09 00:00:00 +0000 UTC"},
		{KindTime, "1984-03-08 23:00:00Z", KindDate, time.UTC, "1984-03-08 00:00:00 +0000 UTC"},
		{KindTime, "1984-03-08 23:00:00Z", KindDate, nil, ""},
		{KindTime, "1984-03-08 23:00:00Z", KindTimestamp, kolkata, "1984-03-09 04:30:00 +0000 UTC"},
		{KindTime, "1984-03-08 23:00:00Z", KindTimestamp, nil, ""},
		{KindTime, "1984-03-08 23:00:00.5Z", KindText, nil, "1984-03-08 23:00:00.5+00"},
		{KindTime, "1984-03-08 23:00:00.5Z", KindText, kolkata, "1984-03-09 04:30:00.5+05:30"},
		{KindTime, "1850-01-01 00:00:00Z", KindText, berlin, "1850-01-01 00:53:28+00:53:28"},
		{KindTime, "infinity", KindDate, berlin, "infinity"},
		{KindDate, "1984-03-09", KindTime, berlin, "1984-03-08 23:00:00 +0000 UTC"},
		{KindDate, "1984-03-09", KindTime, nil, ""},
		{KindDate, "1984-03-09", KindTimestamp, nil, "1984-03-09 00:00:00 +0000 UTC"},
		{KindDate, "0044-03-15 BC", KindText, nil, "0044-03-15 BC"},
		{KindTimestamp, "1984-03-09 12:00", KindTime, kolkata, "1984-03-09 06:30:00 +0000 UTC"},
		{KindTimestamp, "1984-03-09 12:00", KindDate, nil, "1984-03-09 00:00:00 +0000 UTC"},
		{KindText, "1984-03-09 12:00", KindTime, nil, ""},
	} {
		encoding, err := AppendValue(nil, tt.from, SuiteRandomized, tt.v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Session{TimeZone: tt.zone}.AppendConverted([]byte("pre"), tt.to, SuiteDeterministic, tt.from, encoding)
		if tt.want == "" {
			if !errors.Is(err, ErrValue) || got != nil {
				t.Errorf("%s %v to %s: %x, %v; want ErrValue", tt.from, tt.v, tt.to, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %v to %s: %v", tt.from, tt.v, tt.to, err)
			continue
		}
		v, _ := DecodeValue(tt.to, got[3:])
		if at, ok := v.(time.Time); ok {
			v = at.UTC()
		}
		want := tt.want
		if tt.to == KindNumeric && tt.want == "1.50" {
			want = "1.5"
		}
		if fmt.Sprint(v) != want {
			t.Errorf("%s %v to %s: %v, want %s", tt.from, tt.v, tt.to, v, want)
		}
	}
	if _, err := (Session{}).AppendConverted(nil, KindText, SuiteRandomized, KindInt, []byte("short")); !errors.Is(err, ErrFormat) {
		t.Errorf("no encoding: %v", err)
	}
}
