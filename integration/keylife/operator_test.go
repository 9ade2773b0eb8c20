package keylife

func operate() error { return nil }
