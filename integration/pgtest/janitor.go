package pgtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// The janitor is a second process of the test binary. It reads from a pipe what there is to remove,
// and removes it when the pipe ends: because the tests are over, or because their process panicked,
// ran out of time or was killed. So there is one way to clean up, and nothing that a test does can
// keep it from happening.

// janitorEnv makes Main run as the janitor.
const janitorEnv = "COLSEAL_PGTEST_JANITOR"

// ward is one thing to remove. Exactly one field is set.
type ward struct {
	Container string `json:",omitempty"` // a container's name
	Cluster   string `json:",omitempty"` // the directory of a cluster, or of a PgBouncer
}

var janitor struct {
	mu     sync.Mutex // guards all below
	ready  bool       // Main was called
	cmd    *exec.Cmd
	pipe   io.WriteCloser
	output bytes.Buffer
}

// undertake has the janitor remove w in the end. It is called before the thing is made.
func undertake(w ward) error {
	janitor.mu.Lock()
	defer janitor.mu.Unlock()
	if !janitor.ready {
		return errors.New("the package's TestMain does not call pgtest.Main: nobody would remove the server")
	}
	if janitor.cmd == nil {
		if err := startJanitor(); err != nil {
			return fmt.Errorf("janitor: %w", err)
		}
	}
	return json.NewEncoder(janitor.pipe).Encode(w)
}

func startJanitor() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), janitorEnv+"=1")
	cmd.Stdout = &janitor.output
	detach(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	janitor.cmd, janitor.pipe = cmd, pipe
	return nil
}

// dismissJanitor has everything removed and waits for it.
func dismissJanitor() error {
	janitor.mu.Lock()
	defer janitor.mu.Unlock()
	if janitor.cmd == nil {
		return nil
	}
	janitor.pipe.Close()
	err := janitor.cmd.Wait()
	janitor.cmd = nil
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(janitor.output.String()))
	}
	return nil
}

// beJanitor is the janitor's whole life. It returns the exit code.
func beJanitor(orders io.Reader) int {
	var wards []ward
	for d := json.NewDecoder(orders); ; {
		var w ward
		if err := d.Decode(&w); err != nil {
			break // the end, or a line cut short by the other's death
		}
		wards = append(wards, w)
	}
	var errs []error
	for _, w := range wards {
		errs = append(errs, w.remove())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Println(err) // last: nobody may be left to read it
		return 1
	}
	return 0
}

func (w ward) remove() error {
	if w.Cluster != "" {
		return removeCluster(w.Cluster)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("container %s stays behind: %w", w.Container, err)
	}
	defer docker.Close()
	_, err = docker.ContainerRemove(ctx, w.Container, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("container %s stays behind: %w", w.Container, err)
	}
	return nil
}
