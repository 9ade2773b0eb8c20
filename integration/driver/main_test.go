// Package driver_test has the tests of package driver that need a real database: PostgreSQL over pgx, SQLite, and what an
// OpenTelemetry SDK sees. The analysis and the keyring are real, the key service is in memory.
package driver_test

import (
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
