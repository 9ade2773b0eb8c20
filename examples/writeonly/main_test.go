package main

import (
	"bytes"
	"crypto/fips140"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/kmstest"
)

// asProgram makes the test binary run the program instead of the tests.
const asProgram = "COLSEAL_WRITEONLY_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if strings.Contains(os.Getenv("GODEBUG"), "fips140=only") && !fips140.Enabled() {
			panic("FIPS 140 mode is off")
		}
		main()
		return
	}
	pgtest.Main(m)
}

func checkOutput(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	for _, want := range []string{
		"  Ana Souza: thank you\n  Björn Ek: thank you\n",
		"colseal: refused before sending: ", "the program only writes",
		"The back office reads:\n  1  Ana Souza  12-345-678\n  2  Björn Ek  98-765-432\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
}

func TestSQLite(t *testing.T) {
	temp := t.TempDir()
	checkOutput(t, []string{"TMPDIR=" + temp, "TEMP=" + temp, "TMP=" + temp})
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestPostgresAndAWS: KMS is asked to make the inbox and to open it, and by nobody for the form.
func TestPostgresAndAWS(t *testing.T) {
	db := pgtest.New(t)
	srv := kmstest.Start(t)
	srv.CreateKey(kmstest.Alias("alias/app"))
	checkOutput(t, []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"},
		"-dsn", db.DSN(), "-kms", "awskms:///alias/app?region="+kmstest.DefaultRegion+"&endpoint="+srv.URL())
	var did []string
	for _, e := range srv.Events() {
		did = append(did, e.Operation+" "+e.EncryptionContext["colseal:purpose"])
	}
	if got := strings.Join(did, ", "); got != "GenerateDataKey inbox, Decrypt inbox" {
		t.Errorf("requests to KMS: %s", got)
	}
	var left int
	err := db.Admin.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_class WHERE relname LIKE 'writeonly%'").Scan(&left)
	if err != nil || left > 0 {
		t.Errorf("%d relations left behind, %v", left, err)
	}
}

// TestFIPS140: where only approved algorithms run, the inbox of approved ones does, from the operator's to the office's end.
func TestFIPS140(t *testing.T) {
	for name, args := range map[string][]string{"SQLite": nil, "PostgreSQL": {"-dsn", pgtest.New(t).DSN()}} {
		t.Run(name, func(t *testing.T) {
			checkOutput(t, []string{"GODEBUG=fips140=only"}, append(args, "-kem", "mlkem768-p256")...)
		})
	}
}

// TestFormRefusesWhatIsNoForm: the handler stores nothing for a GET.
func TestFormRefusesWhatIsNoForm(t *testing.T) {
	w := httptest.NewRecorder()
	form{}.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", w.Code)
	}
}
