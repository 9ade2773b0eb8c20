package wiretap

// textPlace is what InText searches.
const textPlace Place = "text"

// InText looks for canaries in a text at hand: a program's own log, say. where names it.
// It panics if a canary cannot serve.
func InText(where string, text []byte, canaries ...Canary) []Finding {
	for _, c := range canaries {
		if c.fault != nil {
			panic(c.fault)
		}
	}
	s := newSearch(canaries)
	_, _ = s.open(textPlace, where).Write(text) // never fails
	return s.findings
}
