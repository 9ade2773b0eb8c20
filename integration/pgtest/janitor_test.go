package pgtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// victimEnv makes TestVictim hold a server until it is killed; its value is the rung.
const victimEnv = "COLSEAL_PGTEST_VICTIM"

func TestVictim(t *testing.T) {
	var s *server
	var err error
	switch os.Getenv(victimEnv) {
	case "":
		t.Skip("only TestNothingStaysBehindAKill runs this")
	case "container":
		s, err = startContainer(t.Context(), Wanted[0])
	case "cluster":
		s, err = startClusterOf(t.Context(), installedPrograms()[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print("holding ")
	json.NewEncoder(os.Stdout).Encode(s.ward)
	select {}
}

// A test process that is killed outright leaves neither its container nor its cluster.
func TestNothingStaysBehindAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no PostgreSQL server is started")
	}
	for rung, available := range map[string]bool{
		"container": canRunContainers(t),
		"cluster":   len(installedPrograms()) > 0,
	} {
		t.Run(rung, func(t *testing.T) {
			if !available {
				t.Skip("this machine cannot run it")
			}
			victim := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
			victim.Env = append(os.Environ(), victimEnv+"="+rung)
			out, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			held, err := heldBy(out)
			if err == nil && !there(t, held) {
				err = fmt.Errorf("%+v is not there while it is held", held)
			}
			victim.Process.Kill()
			victim.Wait()
			if err != nil {
				t.Fatal(err)
			}
			waitUntilGone(t, held)
		})
	}
}

func canRunContainers(t *testing.T) bool {
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		return false
	}
	defer docker.Close()
	_, err = findImage(t.Context(), docker, Wanted[0])
	return err == nil
}

// heldBy reads from a victim's output what it holds.
func heldBy(out io.Reader) (ward, error) {
	var w ward
	var seen []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "holding "); ok {
			return w, json.Unmarshal([]byte(text), &w)
		}
		seen = append(seen, lines.Text())
	}
	return w, fmt.Errorf("the victim ended: %s", strings.Join(seen, "\n"))
}

func there(t *testing.T, w ward) bool {
	t.Helper()
	if w.Cluster != "" {
		_, err := os.Stat(w.Cluster)
		return !errors.Is(err, fs.ErrNotExist)
	}
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	_, err = docker.ContainerInspect(t.Context(), w.Container, client.ContainerInspectOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func waitUntilGone(t *testing.T, w ward) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for there(t, w) {
		select {
		case <-deadline:
			t.Fatalf("%+v is still there after 30 s", w)
		case <-tick.C:
		}
	}
}
