package telemetry

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms"
)

func TestPageListsInstruments(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | kind | unit | attributes | what |\n|---|---|---|---|---|\n")
	for _, i := range Instruments() {
		attrs := make([]string, len(i.Attributes))
		for n, key := range i.Attributes {
			attrs[n] = "`" + string(key) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", i.Name, i.Kind, i.Unit, strings.Join(attrs, " "), i.Description)
	}
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), b.String()) {
		t.Errorf("docs/operating.md must hold this table:\n%s", b.String())
	}
}

// prometheusName is how OpenTelemetry's Prometheus exporter names an instrument.
func prometheusName(i Instrument) string {
	name := strings.ReplaceAll(i.Name, ".", "_")
	switch i.Unit {
	case "s":
		name += "_seconds"
	case "1":
		name += "_ratio"
	}
	if i.Kind == Counter {
		name += "_total"
	}
	return name
}

// Every instrument has an alert on the page, or is in its list of those without, and the page names no other.
func TestPageHasAlerts(t *testing.T) {
	page, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, graphs, ok := strings.Cut(string(page), "No alert, but worth a graph")
	if !ok {
		t.Fatal("the page has no list of metrics without an alert")
	}
	known := map[string]bool{}
	for _, i := range Instruments() {
		name := prometheusName(i)
		known[name] = true
		if alert, graph := strings.Contains(rules, name), strings.Contains(graphs, name); alert == graph {
			t.Errorf("%s: in a rule %v, in the list of those without %v", name, alert, graph)
		}
	}
	for _, name := range regexp.MustCompile(`colseal(_[a-z]+)+`).FindAllString(string(page), -1) {
		if name = strings.TrimSuffix(name, "_bucket"); !known[name] && !labels[name] {
			t.Errorf("the page names %s, which is no instrument", name)
		}
	}
	for rule := range strings.SplitSeq(rules, "- alert: ") {
		if strings.HasPrefix(rule, "Colseal") && (!strings.Contains(rule, "expr: ") || !strings.Contains(rule, "summary: ") || !strings.Contains(rule, "action: ")) {
			t.Errorf("a rule without an expression, a summary or an action:\n%s", rule)
		}
	}
}

// labels are the attributes as Prometheus has them.
var labels = map[string]bool{"colseal_purpose": true, "colseal_refusal_class": true}

// Without an SDK nothing happens, and nothing fails.
func TestWithoutAnSDK(t *testing.T) {
	h := Start(Config{}, func() Snapshot { return Snapshot{Open: true} })
	_, done := h.ObserveKMS(t.Context(), kms.Call{Op: kms.OpGenerate})
	done(kms.Answer{Err: errors.New("x")})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
