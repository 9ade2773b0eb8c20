// Package release holds what .ci/release makes to what it promises.
package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const version = "v0.999.0"

// run runs a command in a folder and returns what it prints.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "COLSEAL_PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH, "GIT_AUTHOR_NAME=release", "GIT_AUTHOR_EMAIL=release@example.com",
		"GIT_COMMITTER_NAME=release", "GIT_COMMITTER_EMAIL=release@example.com")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// TestRelease looks at the repository that a release makes. COLSEAL_RELEASE_FULL=1 builds the command, too: twice, the
// second time without a build cache.
func TestRelease(t *testing.T) {
	full := os.Getenv("COLSEAL_RELEASE_FULL") != ""
	temp := t.TempDir()
	clone := filepath.Join(temp, "clone")
	mustRun(t, "../..", "git", "clone", "-q", "--no-hardlinks", ".", clone)
	script, err := os.ReadFile("../../.ci/release")
	if err != nil {
		t.Fatal(err)
	}
	write := func(file string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(clone, file), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(".ci/release", script)
	out := filepath.Join(temp, "out")
	refused := func(want string, args ...string) {
		t.Helper()
		if said, err := run(t, clone, "bash", append([]string{".ci/release"}, args...)...); err == nil || !strings.Contains(said, want) {
			t.Errorf("release %q says %v %q, want %q", args, err, said, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("release %q made its folder", args)
		}
	}
	refused("give a version", version)
	refused("is no version", "1.2", out)
	changes, err := os.ReadFile(filepath.Join(clone, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	write("CHANGELOG.md", append(changes, "\n\n"...))
	refused("not committed", version, out)
	mustRun(t, clone, "git", "add", "-A")
	mustRun(t, clone, "git", "commit", "-qm", "A change")
	refused("no section", version, out)
	write("CHANGELOG.md", append(changes, "\n\n## ["+version[1:]+"]\n"...))
	mustRun(t, clone, "git", "commit", "-qam", "A section")

	args := []string{".ci/release", "--dry-run", version, out}
	if full {
		args = slices.Delete(args, 1, 2)
	}
	said := mustRun(t, clone, "bash", args...)
	t.Log(said)

	// The tags, in an order in which no module needs one that is not there yet.
	push, err := os.ReadFile(filepath.Join(out, "push"))
	if err != nil {
		t.Fatal(err)
	}
	tagged := map[string]bool{}
	repo := filepath.Join(out, "repository")
	for _, line := range strings.Split(strings.TrimSpace(string(push)), "\n")[1:] {
		tag := strings.TrimPrefix(line, "git push origin ")
		folder := strings.TrimSuffix(strings.TrimSuffix(tag, version), "/")
		var mod struct {
			Module  struct{ Path string }
			Require []struct{ Path, Version string }
		}
		if err := json.Unmarshal([]byte(mustRun(t, filepath.Join(repo, folder), "go", "mod", "edit", "-json")), &mod); err != nil {
			t.Fatal(err)
		}
		for _, r := range mod.Require {
			if strings.HasPrefix(r.Path, "github.com/colseal/colseal") && (!tagged[r.Path] || r.Version != version) {
				t.Errorf("%s requires %s %s, which is not tagged before it", tag, r.Path, r.Version)
			}
		}
		if at := mustRun(t, repo, "git", "rev-list", "-n1", tag); at != mustRun(t, repo, "git", "rev-parse", "HEAD") {
			t.Errorf("tag %s is at %s", tag, at)
		}
		tagged[mod.Module.Path] = true
	}
	for _, line := range strings.Split(strings.TrimSpace(mustRun(t, repo, "go", "list", "-m")), "\n") {
		folder := strings.TrimPrefix(strings.TrimPrefix(line, "github.com/colseal/colseal"), "/")
		if want := !slices.Contains([]string{"bench", "examples", "integration"}, folder); tagged[line] != want {
			t.Errorf("module %s is tagged: %v, want %v", line, tagged[line], want)
		}
	}

	if full {
		programs(t, temp, out)
	} else if want := "would build colseal_" + version[1:] + "_" + runtime.GOOS + "_" + runtime.GOARCH + " twice"; !strings.Contains(said, want) {
		t.Errorf("a dry run says\n%s\nwant %q", said, want)
	}
	said, err = run(t, repo, "bash", ".ci/release", version, filepath.Join(temp, "again"))
	if err == nil || !strings.Contains(said, "released already") {
		t.Errorf("the same release again: %v %q", err, said)
	}
}

// programs looks at the programs of a release, their SBOMs and checksums. None may hold the path that it was built at.
func programs(t *testing.T, temp, out string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	if len(lines) != 2 {
		t.Errorf("SHA256SUMS has %d lines, want 2", len(lines))
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != sum {
			t.Errorf("the checksum of %s is %s, want %s", name, got, sum)
		}
		if !strings.HasSuffix(name, ".cdx.json") {
			if said := mustRun(t, out, filepath.Join(out, name), "--version"); !strings.Contains(said, version) {
				t.Errorf("the program says %q, want %s", said, version)
			}
			if bytes.Contains(data, []byte(temp)) {
				t.Errorf("the program holds the path that it was built at")
			}
			continue
		}
		var bom struct {
			BOMFormat  string
			Components []struct{ Name string }
		}
		if err := json.Unmarshal(data, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
			t.Fatalf("%s is no SBOM: %v", name, err)
		}
		var names []string
		for _, c := range bom.Components {
			names = append(names, c.Name)
		}
		for _, want := range []string{"github.com/jackc/pgx/v5", "github.com/sqlc-dev/oliphant", "github.com/aws/aws-sdk-go-v2/service/kms"} {
			if !slices.Contains(names, want) {
				t.Errorf("the SBOM lacks %s", want)
			}
		}
	}
}
