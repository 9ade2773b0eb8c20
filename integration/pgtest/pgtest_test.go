package pgtest

import (
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestEachGivesADatabaseOfItsOwn(t *testing.T) {
	var names []string
	Each(t, func(t *testing.T, db *DB) {
		var version int
		var name, user string
		err := db.Admin.QueryRowContext(t.Context(),
			"SELECT current_setting('server_version_num')::int / 10000, current_database(), current_setting('is_superuser')").Scan(&version, &name, &user)
		if err != nil {
			t.Fatal(err)
		}
		if version != db.Version || name != db.Name || user != "on" {
			t.Errorf("got version %d, database %q, superuser %s; want %d, %q, on", version, name, user, db.Version, db.Name)
		}
		names = append(names, name)
	})
	for _, s := range fleet.servers {
		for _, name := range names {
			var there bool
			if err := s.admin.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
				t.Fatal(err)
			}
			if there {
				t.Errorf("database %s was not dropped", name)
			}
		}
	}
}

func TestLoggedDatabaseLogsEveryParameter(t *testing.T) {
	Each(t, func(t *testing.T, db *DB) {
		for _, setting := range []string{"log_statement=all", "log_parameter_max_length=-1", "log_parameter_max_length_on_error=-1"} {
			name, want, _ := strings.Cut(setting, "=")
			var got string
			if err := db.Admin.QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	}, Logged())
}

func TestWithDatabase(t *testing.T) {
	for _, tt := range []struct{ dsn, want string }{
		{"postgres://u:p@h:1/a?sslmode=disable", "postgres://u:p@h:1/b?sslmode=disable"},
		{"postgresql://h", "postgresql://h/b"},
		{"host=h dbname=a", "host=h dbname=a dbname=b"},
	} {
		if got, err := withDatabase(tt.dsn, "b"); err != nil || got != tt.want {
			t.Errorf("withDatabase(%q) = %q, %v; want %q", tt.dsn, got, err, tt.want)
		}
	}
	if _, err := withDatabase("postgres://u:secret@h:port/x", "b"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a DSN that cannot be read gives %v", err)
	}
}

func TestCIWantsContainers(t *testing.T) {
	t.Setenv(dsnEnv, "postgres://nowhere.invalid/x")
	if _, _, err := climb(t.Context(), true); err == nil {
		t.Error("a named server was accepted with CI=true")
	}
	t.Setenv(dsnEnv, "")
	t.Setenv("COLSEAL_TEST_PG15_IMAGE", "localhost:1/there-is-no-such-image:15")
	t.Setenv("COLSEAL_TEST_PG17_IMAGE", "localhost:1/there-is-no-such-image:17")
	servers, absent, err := climb(t.Context(), true)
	if err == nil || len(servers) != 0 || len(absent) != len(Wanted) {
		t.Errorf("without images and with CI=true: %d servers, absent %q, error %v", len(servers), absent, err)
	}
}
