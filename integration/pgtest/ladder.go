package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Wanted are the major versions that the project is tested on. What goroutines do does not hang on
// the version, so that the race detector sees the newest alone.
var Wanted = []int{15, 17}

func init() {
	if Race {
		Wanted = Wanted[len(Wanted)-1:]
	}
}

// The environment that the ladder reads.
const (
	dsnEnv   = "COLSEAL_TEST_DSN"
	imageEnv = "COLSEAL_TEST_PG%d_IMAGE"
	runEnv   = "COLSEAL_TEST_RUN" // goes into the containers' names, so that one run's can be told from others'
)

// startLimit bounds how long finding and starting the servers may take, pulling an image included.
const startLimit = 3 * time.Minute

var fleet struct {
	once    sync.Once
	servers []*server // oldest first
	absent  []string  // per wanted version that is not there: which, and why
	err     error
}

// startFleet starts the servers, once.
func startFleet() ([]*server, error) {
	fleet.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		fleet.servers, fleet.absent, fleet.err = climb(ctx, inCI())
	})
	return fleet.servers, fleet.err
}

// absent tells which versions are not there and why. It is empty until startFleet has run.
func absent() []string { return fleet.absent }

func inCI() bool {
	ci, _ := strconv.ParseBool(os.Getenv("CI"))
	return ci
}

// climb goes down the ladder. In CI only containers of every wanted version will do.
func climb(ctx context.Context, ci bool) (found []*server, absent []string, err error) {
	if dsn := os.Getenv(dsnEnv); dsn != "" {
		if ci {
			return nil, nil, errors.New(dsnEnv + " is set, but with CI=true the tests run in containers of both versions")
		}
		s, err := openServer(ctx, dsn, dsnEnv)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: the server cannot be used: %w", dsnEnv, err)
		}
		for _, v := range Wanted {
			if v != s.version {
				absent = append(absent, fmt.Sprintf("PostgreSQL %d: %s names a server of version %d", v, dsnEnv, s.version))
			}
		}
		return []*server{s}, absent, nil
	}
	found, reasons := startAll(ctx, ci)
	for _, v := range Wanted {
		if reason := reasons[v]; reason != nil {
			absent = append(absent, fmt.Sprintf("PostgreSQL %d: %v", v, reason))
			err = errors.Join(err, reason)
		}
	}
	if ci && err != nil {
		return nil, absent, fmt.Errorf("with CI=true the tests run in containers of both versions: %w", err)
	}
	if len(found) == 0 {
		if s, ok := otherCluster(ctx); ok {
			found = append(found, s)
		}
	}
	return found, absent, nil
}

// startAll starts every wanted version at the same time, and tells why one is not there.
func startAll(ctx context.Context, containersOnly bool) ([]*server, map[int]error) {
	var (
		mu      sync.Mutex // guards found and reasons
		found   []*server
		reasons = map[int]error{}
		wg      sync.WaitGroup
	)
	for _, v := range Wanted {
		wg.Go(func() {
			s, err := startContainer(ctx, v)
			if err != nil && !containersOnly {
				var clusterErr error
				if s, clusterErr = startCluster(ctx, v); clusterErr == nil {
					err = nil
				} else {
					err = fmt.Errorf("%w; %w", err, clusterErr)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				reasons[v] = err
				return
			}
			found = append(found, s)
		})
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b *server) int { return a.version - b.version })
	return found, reasons
}

// otherCluster makes a cluster of the newest version on this machine, when it has none of those
// wanted.
func otherCluster(ctx context.Context) (*server, bool) {
	for _, p := range installedPrograms() {
		if s, err := startClusterOf(ctx, p); err == nil {
			return s, true
		}
	}
	return nil, false
}
