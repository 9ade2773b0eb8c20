package tagged

import "testing"

func TestMain(m *testing.M) { panic("the package's own tests must not run") }
