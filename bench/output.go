package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/plots"
)

// output is where reports and profiles go, by the flags that all commands have.
type output struct {
	json string // file, "-" for stdout
	docs string // directory of benchmarks.md

	cpu, mem, mutex, block string // profiles
	stop                   []func() error
}

func (o *output) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&o.json, "json", "", "write the report as JSON to this `file` (- is stdout)")
	f.StringVar(&o.docs, "docs", "", "rewrite the report's part of benchmarks.md, and its plots, in this `directory`")
	f.StringVar(&o.cpu, "cpuprofile", "", "write a CPU profile to this `file`")
	f.StringVar(&o.mem, "memprofile", "", "write a profile of allocations to this `file`")
	f.StringVar(&o.mutex, "mutexprofile", "", "write a profile of contended locks to this `file`")
	f.StringVar(&o.block, "blockprofile", "", "write a profile of blocking to this `file`")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return o.startProfiles() }
	root.PersistentPostRunE = func(*cobra.Command, []string) error { return o.stopProfiles() }
}

func (o *output) startProfiles() error {
	if o.cpu != "" {
		f, err := os.Create(o.cpu)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		o.stop = append(o.stop, func() error { pprof.StopCPUProfile(); return f.Close() })
	}
	if o.mutex != "" {
		runtime.SetMutexProfileFraction(1)
	}
	if o.block != "" {
		runtime.SetBlockProfileRate(1)
	}
	for name, path := range map[string]string{"allocs": o.mem, "mutex": o.mutex, "block": o.block} {
		if path != "" {
			o.stop = append(o.stop, func() error { return writeProfile(name, path) })
		}
	}
	return nil
}

func (o *output) stopProfiles() error {
	for _, stop := range o.stop {
		if err := stop(); err != nil {
			return err
		}
	}
	return nil
}

func writeProfile(name, path string) error {
	f, err := os.Create(path) //nolint:gosec // where the user said
	if err != nil {
		return err
	}
	err = pprof.Lookup(name).WriteTo(f, 0)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// publish prints a report and writes it where the flags say.
func (o *output) publish(w io.Writer, r *doc.Report) error {
	r.Machine.Ended()
	if o.json != "-" {
		if err := r.Print(w); err != nil {
			return err
		}
	}
	if o.json != "" {
		if err := r.WriteJSON(w, o.json); err != nil {
			return err
		}
	}
	if o.docs != "" {
		return r.Update(o.docs)
	}
	return nil
}

// plot draws a chart beside the documents, or into the working directory's "plots",
// and notes it in the report.
func (o *output) plot(r *doc.Report, file string, c plots.Chart) error {
	dir := filepath.Join(o.docs, doc.PlotDir)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documents are for all to read
		return err
	}
	if err := c.Save(filepath.Join(dir, file)); err != nil {
		return fmt.Errorf("plot %s: %w", file, err)
	}
	r.Plots = append(r.Plots, doc.Plot{File: file, Title: c.Title})
	return nil
}

// bar shows progress on standard error.
func bar(steps int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(steps,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
}
