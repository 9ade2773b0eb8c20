package policy

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/colseal/colseal"

// mayImport says which of our packages each package may import, outside its tests. "x/..." stands for x and all
// below it; the first line that matches a package holds, and a package that matches none may not exist.
var mayImport = []struct {
	pkg     string
	imports []string
}{
	{".", []string{"internal/hint"}},
	{"internal/hint", nil},
	{"internal/dialect", nil},
	{"internal/pgarray", nil},
	{"internal/dbcatalog", []string{"internal/dialect"}},
	{"codec", []string{"internal/pgarray"}},
	{"schema", []string{"codec", "internal/dbcatalog", "internal/hint"}},
	{"kms", []string{"internal/hint"}},
	{"kms/envelope", []string{"kms"}},
	{"kms/kmstest", []string{"kms"}},
	{"kms/azurekv/azuretest", []string{"kms/azurekv", "kms/kmstest"}},
	{"kms/gcpkms/gcptest", []string{"kms/kmstest"}},
	{"kms/pkcs11/softhsm", []string{"kms/pkcs11"}},
	{"kms/transit/transittest", []string{"kms/kmstest"}},
	{"kms/...", []string{"kms", "kms/envelope", "internal/hint"}},
	{"internal/audit", []string{"kms", "internal/dbcatalog"}},
	{"internal/audit/...", []string{"internal/audit"}},
	{"internal/hot", nil},
	{"internal/sqlparse", nil},
	{"internal/sqlparse/...", []string{"internal/sqlparse"}},
	{"internal/backstop", []string{"codec", "schema", "internal/dialect", "internal/dbcatalog"}},
	{"internal/sqlplan", []string{".", "codec", "schema", "internal/backstop", "internal/sqlparse/...", "internal/hot", "internal/dialect", "internal/dbcatalog", "internal/pgarray", "internal/pgvalue"}},
	{"internal/gate", []string{"kms", "internal/audit"}},
	{"internal/keytest", []string{"kms", "keyring"}},
	{"internal/inbox", nil},
	{"keyring", []string{"kms", "internal/hint", "internal/audit", "internal/gate", "internal/dialect", "internal/dbcatalog", "internal/inbox"}},
	{"keycache", []string{"codec", "kms", "keyring", "internal/hint", "internal/audit", "internal/dialect", "internal/gate", "internal/hot", "internal/inbox"}},
	{"internal/front", []string{".", "codec", "schema", "kms", "keyring", "keycache", "internal/..."}},
	{"internal/...", []string{".", "codec", "schema", "kms", "keyring", "keycache", "internal/..."}},
	{"driver", []string{".", "codec", "schema", "kms", "keyring", "keycache", "internal/sqlplan", "internal/backstop", "internal/ddl", "internal/audit", "internal/telemetry",
		"internal/front", "internal/hint", "internal/inbox", "internal/pgxvalue", "internal/sealeddb", "internal/dialect", "internal/dbcatalog", "internal/pgarray"}},
	{"pgxseal", []string{".", "codec", "schema", "keycache", "driver", "internal/hint", "internal/sqlplan", "internal/front", "internal/pgvalue", "internal/pgxvalue", "internal/dbcatalog"}},
	{"ops/...", []string{".", "codec", "schema", "kms", "keyring", "keycache", "driver", "internal/..."}},
	{"vet", []string{".", "driver", "schema", "ops/explain", "internal/dialect"}},
	{"vet/golangci", []string{"vet"}},
	{"cmd/...", slices.Concat(library, []string{"cmd/...", "vet"})},
	{"bench/...", slices.Concat(library, []string{"bench/..."})},
	{"integration/...", slices.Concat(library, []string{"integration/...", "vet"})},
	{"examples/...", slices.Concat(library, []string{"examples/..."})},
}

// library is the root module.
var library = []string{".", "codec", "schema", "kms/...", "keyring", "keycache", "driver", "pgxseal", "ops/...", "internal/..."}

// testsMayImport is what tests may import beside the library. Those of the library itself may not: they run without
// the workspace, too.
var testsMayImport = map[string]string{"examples": "integration/pgtest/..."}

// only says who alone may import a module of others, tests included.
var only = map[string]string{
	"github.com/sqlc-dev/oliphant":      "internal/sqlparse/pg",
	"github.com/sqlc-dev/meyer":         "internal/sqlparse/lite",
	"github.com/testcontainers":         "integration/pgtest integration/failover bench/internal/queries",
	"github.com/moby/moby":              "integration/pgtest integration/failover bench/internal/queries",
	"github.com/aws/aws-sdk-go-v2":      "kms/... examples/... cmd/... integration/... bench/...",
	"cloud.google.com":                  "kms/gcpkms/...",
	"github.com/Azure":                  "kms/azurekv/...",
	"filippo.io/age":                    "kms/agekms integration/services",
	"github.com/miekg/pkcs11":           "kms/pkcs11/...",
	"golang.org/x/tools":                "cmd/... vet/... integration/vet",
	"golang.org/x/crypto":               "", // cryptography is the standard library's alone
	"github.com/pganalyze/pg_query_go":  "", // panics at start beside oliphant
	"github.com/tink-crypto/tink-go/v2": "bench/...",
	"github.com/stretchr/testify":       "",
	"go.opentelemetry.io/otel":          "internal/telemetry internal/front driver examples/... integration/...", // keycache and kms tell, they do not know whom
}

// testsOnly is what no program may be made to link by importing us.
var testsOnly = []string{"go.opentelemetry.io/otel/sdk"}

// folders are the top level's.
var folders = []string{".ci", "bench", "cmd", "codec", "docs", "driver", "examples", "integration", "internal", "keycache", "keyring", "kms", "ops", "pgxseal", "schema", "vet"}

func TestImports(t *testing.T) {
	files := goFiles(t)
	if len(files) < 50 {
		t.Fatalf("only %d Go files were found: this test looks in the wrong place", len(files))
	}
	for _, file := range files {
		for _, imported := range importsOf(t, file) {
			if why := refuse(path.Dir(file), imported, strings.HasSuffix(file, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}
}

// refuse tells why a package, a folder of ours, may not import another, or "".
func refuse(pkg, imported string, test bool) string {
	for other, owners := range only {
		if within(imported, other) && !matchesAny(pkg, strings.Fields(owners)) {
			return "only " + strconv.Quote(owners) + " may"
		}
	}
	for _, other := range testsOnly {
		if within(imported, other) && !test {
			return "only tests may"
		}
	}
	ours, ok := strings.CutPrefix(imported, module+"/")
	switch {
	case imported == module:
		ours = "."
	case !ok:
		return ""
	}
	for _, rule := range mayImport {
		if !matches(pkg, rule.pkg) {
			continue
		}
		if ours == pkg || matchesAny(ours, rule.imports) || test && (matchesAny(ours, library) || mayTest(pkg, ours)) {
			return ""
		}
		return "it may import of ours only " + strings.Join(rule.imports, ", ")
	}
	return "no line of the policy covers the package"
}

// mayTest reports whether tests of a package may import another module's.
func mayTest(pkg, ours string) bool {
	folder, _, _ := strings.Cut(pkg, "/")
	pattern, ok := testsMayImport[folder]
	return ok && matches(ours, pattern)
}

func TestEveryPackageIsCovered(t *testing.T) {
	for _, file := range goFiles(t) {
		pkg := path.Dir(file)
		if !slices.ContainsFunc(mayImport, func(r struct {
			pkg     string
			imports []string
		}) bool {
			return matches(pkg, r.pkg)
		}) {
			t.Errorf("%s: no line of the policy covers its package", file)
		}
	}
}

// The test above can fail.
func TestPolicyRefuses(t *testing.T) {
	for _, tt := range []struct {
		pkg, imported string
		test, refused bool
	}{
		{"codec", module + "/schema", false, true},
		{"codec", module, false, true},
		{"driver", module, false, false},
		{"schema", module + "/codec", false, false},
		{"kms", module + "/kms/awskms", false, true},
		{"keycache", module + "/driver", false, true},
		{"driver", module + "/kms/awskms", false, true},
		{"driver", module + "/kms/kmstest", true, false},
		{"driver", module + "/internal/sqlparse/pg", false, true},
		{"driver", "github.com/sqlc-dev/oliphant/ast", true, true},
		{"internal/sqlparse/pg", "github.com/sqlc-dev/oliphant/ast", false, false},
		{"internal/sqlparse/lite", "github.com/sqlc-dev/oliphant", false, true},
		{"driver", module + "/integration/pgxsuite", true, true},
		{"driver", module + "/integration/pgtest", true, true},
		{"cmd/colseal", module + "/integration/pgtest", true, true},
		{"examples/quickstart", module + "/integration/pgtest", true, false},
		{"examples/quickstart", module + "/integration/pgtest", false, true},
		{"examples/quickstart", module + "/bench", false, true},
		{"ops/reseal", module + "/driver", false, false},
		{"ops/reseal", module + "/ops/dbcheck", false, true},
		{"driver", module + "/ops/reseal", false, true},
		{"codec", "golang.org/x/crypto/hkdf", false, true},
		{"util", module + "/codec", false, true},
		{"keycache", "go.opentelemetry.io/otel/metric", false, true},
		{"internal/telemetry", "go.opentelemetry.io/otel/metric", false, false},
		{"internal/telemetry", "go.opentelemetry.io/otel/sdk/metric", false, true},
		{"internal/telemetry", "go.opentelemetry.io/otel/sdk/metric", true, false},
	} {
		if why := refuse(tt.pkg, tt.imported, tt.test); (why != "") != tt.refused {
			t.Errorf("%s imports %s (in a test: %v): %q, refused should be %v", tt.pkg, tt.imported, tt.test, why, tt.refused)
		}
	}
}

func TestFolders(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != ".git" && e.Name() != "bin" && !slices.Contains(folders, e.Name()) {
			t.Errorf("folder %s is not among those agreed: %s", e.Name(), strings.Join(folders, ", "))
		}
	}
}

// requires are the modules that the library needs, its tests included: a program that adopts it gets them.
var requires = []string{
	"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-sdk-go-v2/config", "github.com/aws/aws-sdk-go-v2/service/kms", "github.com/aws/smithy-go",
	"github.com/cenkalti/backoff/v5", "github.com/hashicorp/golang-lru/v2", "github.com/jackc/pgx/v5", "github.com/puzpuzpuz/xsync/v4",
	"github.com/sony/gobreaker/v2", "github.com/sqlc-dev/meyer", "github.com/sqlc-dev/oliphant",
	"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace", "golang.org/x/sync", "google.golang.org/protobuf",
}

func TestLibraryRequires(t *testing.T) {
	var mod struct {
		Go, Toolchain string
		Require       []struct {
			Path     string
			Indirect bool
		}
	}
	readJSON(t, &mod, "go", "mod", "edit", "-json", root+"/go.mod")
	for _, r := range mod.Require {
		if !r.Indirect && !slices.Contains(requires, r.Path) {
			t.Errorf("the library requires %s", r.Path)
		}
	}
	// A program's go.mod would get the patch release, and the toolchain.
	if mod.Go != "1.26" || mod.Toolchain != "" {
		t.Errorf("go.mod asks for Go %s, toolchain %q, want 1.26 and none", mod.Go, mod.Toolchain)
	}
}

// readJSON runs a command and decodes what it prints.
func readJSON(t *testing.T, v any, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatal(err)
	}
}

// TestGateRunsReadme: the gate runs README's two commands as they stand there.
func TestGateRunsReadme(t *testing.T) {
	for file, form := range map[string]string{"README.md": "\n%s\n```\n", ".ci/run": "step \"%[1]s\" %[1]s\n"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"go run ./examples/quickstart", "go test work"} {
			if want := fmt.Sprintf(form, command); !strings.Contains(string(text), want) {
				t.Errorf("%s does not hold %q", file, want)
			}
		}
	}
}

// TestWorkspace compares the modules of go.work, through which .ci/run goes, with those that are there.
func TestWorkspace(t *testing.T) {
	var work struct{ Use []struct{ DiskPath string } }
	readJSON(t, &work, "go", "work", "edit", "-json", root+"/go.work")
	var used []string
	for _, u := range work.Use {
		used = append(used, path.Clean(u.DiskPath))
	}
	var there []string
	for _, file := range find(t, "go.mod") {
		there = append(there, path.Dir(file))
	}
	slices.Sort(used)
	slices.Sort(there)
	if !slices.Equal(used, there) {
		t.Errorf("go.work uses %q, want %q", used, there)
	}
}

// A module with a replace cannot be installed by its path and version.
func TestCommandHasNoReplace(t *testing.T) {
	text, err := os.ReadFile(root + "/cmd/colseal/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "replace") {
		t.Error("cmd/colseal/go.mod has a replace: go install of the command would refuse it")
	}
}

// root is the folder of the workspace, as seen from this package.
const root = "../.."

// goFiles lists the Go files of all modules, whatever their build tags.
func goFiles(t *testing.T) []string {
	t.Helper()
	return find(t, ".go")
}

// find lists the files with such an end of their name by their path from the root. testdata is not ours to judge.
func find(t *testing.T, end string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != root && (name == "testdata" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, end) {
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func matchesAny(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(pkg, p) })
}

func matches(pkg, pattern string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(pkg, base)
	}
	return pkg == pattern
}

func within(pkg, base string) bool { return pkg == base || strings.HasPrefix(pkg, base+"/") }
