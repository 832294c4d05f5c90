package vercel

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// function is what a vercel.json says of one.
type function struct {
	MaxDuration int `json:"maxDuration"`
}

type config struct {
	OutputDirectory string `json:"outputDirectory"`
	Builds          []struct {
		Src    string `json:"src"`
		Use    string `json:"use"`
		Config struct {
			Framework string              `json:"framework"`
			Functions map[string]function `json:"functions"`
		} `json:"config"`
	} `json:"builds"`
	Functions map[string]function `json:"functions"`
	Rewrites  []struct {
		Source      string `json:"source"`
		Destination string `json:"destination"`
	} `json:"rewrites"`
	Crons []struct {
		Path     string `json:"path"`
		Schedule string `json:"schedule"`
	} `json:"crons"`
	Regions []string `json:"regions"`
}

func readConfig(t *testing.T, dir string) (c config) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "vercel.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Crons) != 1 || c.Crons[0].Path != CronPath || c.Crons[0].Schedule != "* * * * *" {
		t.Errorf("%s: crons are %+v, want %s every minute", dir, c.Crons, CronPath)
	}
	if len(c.Regions) != 1 {
		t.Errorf("%s: regions are %v; one, next to the database", dir, c.Regions)
	}
	return c
}

// The server's file says what the adapter counts on, and publishes one folder.
func TestServerConfig(t *testing.T) {
	c := readConfig(t, "..")
	published := 0
	for _, b := range c.Builds {
		switch b.Use {
		case "@vercel/go":
			if _, err := os.Stat(filepath.Join("..", b.Src)); err != nil || b.Config.Framework != "go" {
				t.Errorf("%s is no server: %v", b.Src, err)
			}
			if d := time.Duration(b.Config.Functions[b.Src].MaxDuration) * time.Second; d != MaxDuration {
				t.Errorf("vercel.json says %v, limits.go %v", d, MaxDuration)
			}
		case "@vercel/static":
			published++
			if b.Src != "public/**" {
				t.Errorf("%s is published", b.Src)
			}
		default:
			t.Errorf("unknown builder %s", b.Use)
		}
	}
	if len(c.Builds) != 2 || published != 1 {
		t.Errorf("%d builds, %d of them publish", len(c.Builds), published)
	}
}

// The same for the function. Without an output directory Vercel would publish
// the whole tree.
func TestFunctionConfig(t *testing.T) {
	dir := "../examples/vercel-function"
	c := readConfig(t, dir)
	if d := time.Duration(c.Functions["api/index.go"].MaxDuration) * time.Second; d != MaxDuration {
		t.Errorf("vercel.json says %v, limits.go %v", d, MaxDuration)
	}
	if c.OutputDirectory != "public" {
		t.Errorf("output directory is %q", c.OutputDirectory)
	}
	if len(c.Rewrites) != 1 || c.Rewrites[0].Source != "/(.*)" || c.Rewrites[0].Destination != "/api" {
		t.Errorf("rewrites are %+v", c.Rewrites)
	}
	for _, name := range []string{"public", "../../public"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
