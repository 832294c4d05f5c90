package clinic_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serverurl/serverurl/cloudflare/emulate"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/examples/clinic"
	"github.com/serverurl/serverurl/examples/clinic/postgres"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/server/servertest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	north = "5f1d0c9a7b3e48d2a6c4e8f0b1d3957a"
	south = "0d7e2b91c4f8a6355e8091d2c7ba43f6"
)

// A desk is the clinics on the plain server, with the systems behind them.
type desk struct {
	simulate.Options
	book             clinic.Book // nil in the platform's store
	insurance, texts *simulate.Stub
}

func start(t *testing.T, config server.Config, book clinic.Book) desk {
	t.Helper()
	d := desk{book: book}
	d.insurance = simulatetest.NewStub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		accepted := "false"
		if strings.Contains(string(body), "Delta") {
			accepted = "true"
		}
		_, _ = io.WriteString(w, `{"accepted":`+accepted+`}`)
	}))
	d.texts = simulatetest.NewStub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	config.Verifier = auth.Verifier{Secrets: auth.ParseSecrets("north:" + north + ",south:" + south)}
	d.Options = servertest.StartConfig(t, clinic.New(clinic.Config{Book: book, Insurance: d.insurance.URL(), Texts: d.texts.URL()}), config)
	d.Secret, d.SettleTimeout = north, time.Minute // it bounds failures only
	d.Stubs = map[string]*simulate.Stub{"insurance": d.insurance, "texts": d.texts}
	return d
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, d desk)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, server.Config{}, nil)) })
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.Open(t)
		db, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		if _, err := db.Exec(t.Context(), postgres.Tables); err != nil {
			t.Fatal(err)
		}
		test(t, start(t, server.Config{Database: url}, postgres.Book{Pool: db}))
	})
}

func TestCalls(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		simulatetest.Run(t, d.Options, "testdata/north.yaml", "testdata/insurance.yaml", "testdata/reminder.yaml")
		for _, r := range d.texts.Requests() {
			if r.Header.Get("Idempotency-Key") == "" || strings.Contains(string(r.Body), "***") {
				t.Errorf("sent %s with the key %q", r.Body, r.Header.Get("Idempotency-Key"))
			}
		}
		if n := len(d.texts.Requests()); n != 1 {
			t.Errorf("%d text messages, want 1", n)
		}
		d.Secret = south
		simulatetest.Run(t, d.Options, "testdata/south.yaml")
	})
}

// What goes wrong on the way changes nothing.
func TestCallsWithFaults(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.Faults = []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate, simulate.FaultWrongSecret}
		simulatetest.Run(t, d.Options, "testdata/north.yaml")
		d.Secret = south
		simulatetest.Run(t, d.Options, "testdata/south.yaml")
	})
}

// Two clinics never see each other's visits: the same caller has the same hour at
// both.
func TestClinicsAreApart(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		for _, secret := range []string{north, south} {
			d.Secret, d.Seed = secret, 7
			simulatetest.Run(t, d.Options, "testdata/either.yaml")
		}
		if d.book == nil {
			return
		}
		at := time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, name := range []string{"north", "south"} {
			if es, err := d.book.Between(t.Context(), name, at, at.AddDate(1000, 0, 0)); err != nil || len(es) != 1 {
				t.Errorf("%s has %d visits, want 1: %v", name, len(es), err)
			}
		}
	})
}

// The same backend compiles for every cloud.
func TestCompilesForEveryCloud(t *testing.T) {
	for _, name := range []string{"server", "lambda", "vercel", "function"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "out"), "./cmd/"+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	t.Run("cloudflare", func(t *testing.T) {
		if err := emulate.Build(t.Context(), "../..", "./examples/clinic/cmd/cloudflare", filepath.Join(t.TempDir(), "worker.wasm")); err != nil {
			t.Fatal(err)
		}
		deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/cloudflare").Output()
		if err != nil || strings.Contains(string(deps), "jackc/pgx") {
			t.Errorf("a Worker has a driver of PostgreSQL: %v", err)
		}
	})
}

// The example stays one that can be read in an evening.
func TestIsSmall(t *testing.T) {
	n := 0
	for _, pattern := range []string{"*.go", "postgres/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(data)) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
					n++
				}
			}
		}
	}
	if n == 0 || n > 350 {
		t.Errorf("%d lines of code, want at most 350", n)
	}
}
