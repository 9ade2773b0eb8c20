package schema

import (
	"strings"
	"testing"
)

func staged(t *testing.T) *Schema {
	t.Helper()
	s, err := New(
		Columns("app.users",
			Column{Name: "email", Mode: ModeDeterministic, Stage: StageCopy},
			Column{Name: "ssn", Stored: "ssn_cells"},
			Column{Name: "note"}),
		View("app.people", "app.users"),
		View("app.mails", "app.users", Renamed{Column: "email", As: "mail"}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStages(t *testing.T) {
	s := staged(t)
	type want struct {
		stage  Stage
		stored string
		cells  string
	}
	check := func(s *Schema, table string, wants map[string]want) {
		t.Helper()
		for _, c := range s.Lookup("app", table).Columns() {
			if got := (want{c.Stage, c.Stored, c.CellColumn()}); got != wants[c.Name] {
				t.Errorf("%s.%s = %v, want %v", table, c.Name, got, wants[c.Name])
			}
		}
	}
	ssn, note := want{StageOnly, "ssn_cells", "ssn_cells"}, want{StageNone, "", "note"}
	check(s, "users", map[string]want{"email": {StageCopy, "email_sealed", "email_sealed"}, "ssn": ssn, "note": note})

	later, err := s.WithStages(map[string]Stage{"app.users.email": StageSealed})
	if err != nil {
		t.Fatal(err)
	}
	email := want{StageSealed, "email_sealed", "email_sealed"}
	check(later, "users", map[string]want{"email": email, "ssn": ssn, "note": note})
	check(later, "people", map[string]want{"email": email, "ssn": ssn, "note": note})
	check(later, "mails", map[string]want{"mail": email, "ssn": ssn, "note": note})
	if got := s.Lookup("app", "users").Column("email").Stage; got != StageCopy {
		t.Errorf("the first schema's stage is %v now", got)
	}
	if later.Lookup("app", "users").Column("email") != later.Lookup("app", "people").Column("email") {
		t.Error("a view's columns are no longer those of its table")
	}
	all, err := s.WithStages(map[string]Stage{"app.users": StageOnly})
	if err != nil {
		t.Fatal(err)
	}
	check(all, "users", map[string]want{"email": {StageOnly, "email_sealed", "email_sealed"}, "ssn": ssn, "note": note})
}

func TestStagesRefused(t *testing.T) {
	s := staged(t)
	for key, reason := range map[string]string{
		"app.users.note": "no column with a stage is named app.users.note",
		"users.email":    "no column with a stage is named users.email",
		"app.mails.mail": "no column with a stage is named app.mails.mail",
	} {
		if _, err := s.WithStages(map[string]Stage{key: StageSealed}); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("WithStages(%s) = %v, want %q", key, err, reason)
		}
	}
	if _, err := s.WithStages(map[string]Stage{"app.users.email": StageNone}); err == nil || !strings.Contains(err.Error(), "unknown stage") {
		t.Errorf("WithStages(StageNone) = %v", err)
	}
	for name, cols := range map[string][]Column{
		"stored in the column itself": {{Name: "a", Stage: StageCopy, Stored: "a"}},
		"would be used for it and":    {{Name: "a", Stage: StageCopy}, {Name: "a_sealed"}},
		"unknown stage":               {{Name: "a", Stage: 9}},
		"bad column name":             {{Name: "a", Stored: "b\x00"}},
		"67 bytes long":               {{Name: strings.Repeat("a", 60), Stage: StageCopy}},
	} {
		if _, err := New(Columns("t", cols...)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New = %v, want %q", err, name)
		}
	}
}

func TestStageTag(t *testing.T) {
	type user struct {
		Email string `seal:"deterministic,stage=copy"`
		SSN   string `seal:"random,stage=sealed,stored=ssn_cells"`
	}
	s, err := New(Model("users", user{}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `users
  email deterministic text identity "users.email" tag d920 stage copy stored email_sealed
  ssn random text identity "users.ssn" tag d888 stage sealed stored ssn_cells
`
	if got := s.String(); got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	data, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseJSON(data)
	if err != nil || back.String() != s.String() {
		t.Errorf("ParseJSON(%s) = %v, %v", data, back, err)
	}
	for _, tag := range []string{`seal:"random,stage=copied"`, `seal:"random,stage="`} {
		value := strings.TrimSuffix(strings.TrimPrefix(tag, `seal:"`), `"`)
		if _, err := parseSealTag(value); err == nil {
			t.Errorf("the tag %s is taken", tag)
		}
	}
}
