package codec

import (
	"testing"
	"time"
)

// Dates are counted as package time counts them.
func TestDayOf(t *testing.T) {
	for _, from := range []int{-4713, -401, -5, 1896, 1996, 2395, 294_200} {
		for year := from; year < from+10; year++ {
			for month := 1; month <= 12; month++ {
				for date := 1; date <= 31; date++ {
					midnight := time.Date(year, time.Month(month), date, 0, 0, 0, 0, time.UTC)
					if exists := midnight.Day() == date; exists != (date <= daysOf(year, month)) {
						t.Fatalf("%d-%d-%d: that it exists is %v", year, month, date, exists)
					}
					if got := dayOf(year, month, date); got != midnight.Unix()/daySeconds {
						t.Fatalf("%d-%d-%d is day %d, want %d", year, month, date, got, midnight.Unix()/daySeconds)
					}
				}
			}
		}
	}
}
