package front

import "testing"

func TestLocation(t *testing.T) {
	for _, name := range []string{"UTC", "Etc/UTC", "Europe/Berlin", "Asia/Tokyo"} {
		if loc := location(name); loc == nil || loc.String() != name {
			t.Errorf("location(%q) = %v", name, loc)
		}
	}
	// The zone of this machine is not the server's, and Go takes no zone for UTC.
	for _, name := range []string{"", "Local", "local", "localtime", "posix/localtime", "posixrules", "<+09>-09", "../etc/passwd", "Mars/Olympus"} {
		if loc := location(name); loc != nil {
			t.Errorf("location(%q) = %v, want nil", name, loc)
		}
	}
}
