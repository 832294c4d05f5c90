package emulate

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
)

// An output is the folder that `vercel build` has written.
type output struct {
	static   string // folder of files that are served as they are
	function string // folder of the program
	handler  string // the program in it
	runtime  string // "executable" is a server, "provided.al2023" a function
	duration time.Duration
	crons    []string // paths
}

// readOutput reads the one function of an output.
func readOutput(dir string) (*output, error) {
	var config struct {
		Crons []struct {
			Path string `json:"path"`
		} `json:"crons"`
	}
	var function struct {
		Handler     string `json:"handler"`
		Runtime     string `json:"runtime"`
		MaxDuration int    `json:"maxDuration"`
	}
	if err := readJSON(filepath.Join(dir, "config.json"), &config); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "functions", "*.func"))
	if err == nil && len(found) == 0 {
		found, err = filepath.Glob(filepath.Join(dir, "functions", "*", "*.func"))
	}
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("emulate: %d functions in the build's output, want one: %v", len(found), err)
	}
	if err := readJSON(filepath.Join(found[0], ".vc-config.json"), &function); err != nil {
		return nil, err
	}
	out := &output{static: filepath.Join(dir, "static"), function: found[0], handler: function.Handler, runtime: function.Runtime,
		duration: time.Duration(function.MaxDuration) * time.Second}
	if out.duration == 0 {
		out.duration = 5 * time.Minute // Vercel's default
	}
	for _, c := range config.Crons {
		out.crons = append(out.crons, c.Path)
	}
	return out, nil
}

func readJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("emulate: build output: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("emulate: build output: %s cannot be read", filepath.Base(file))
	}
	return nil
}
