package envconfig

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "every platform uses it, Workers included",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", "github.com/go-json-experiment/json/...")
	importcheck.Check(t, map[string]string{"net": "it opens no socket", "testing": "test code must not reach a deployed program"})
	importcheck.CheckWASM(t)
}

var update = flag.Bool("update", false, "rewrite the tables in docs")

// TestDocs compares the tables in docs with ours.
func TestDocs(t *testing.T) {
	for _, p := range everywhere {
		file := "../../docs/" + string(p) + ".md"
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		const begin, end = "<!-- variables: go test ./internal/envconfig -update -->\n", "<!-- end of variables -->\n"
		before, rest, ok1 := strings.Cut(string(b), begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Errorf("%s has no table of variables", file)
			continue
		}
		want := before + begin + Table(p) + end + after
		if *update {
			err = os.WriteFile(file, []byte(want), 0o644)
		} else if want != string(b) {
			err = errors.New(file + " is not up to date: go test ./internal/envconfig -update")
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// TestSecretsEverywhere holds that a sender that signs is accepted on every
// platform.
func TestSecretsEverywhere(t *testing.T) {
	secret := strings.Repeat("0123456789abcdef", 2)
	for _, p := range everywhere {
		for _, name := range []string{"SERVERURL_SECRET", "SERVERURL_SIGNING_SECRET", "SERVERURL_STANDARD_WEBHOOKS_SECRET"} {
			env := New(p, func(n string) string {
				if n == name {
					return secret + "," + secret + "x"
				}
				return ""
			})
			v := env.Verifier()
			if n := len(v.Secrets) + len(v.SigningSecrets) + len(v.StandardWebhooksSecrets); n != 2 || !env.HasSecret() {
				t.Errorf("%s: %s: %d secrets", p, name, n)
			}
		}
	}
}

func TestGet(t *testing.T) {
	env := New(GCP, func(string) string { return "x" })
	if env.Get("SERVERURL_TOPIC") != "x" {
		t.Error("a variable of the table is not read")
	}
	defer func() {
		if recover() == nil {
			t.Error("a variable of another platform is read")
		}
	}()
	env.Get("TABLE_NAME")
}

func TestValues(t *testing.T) {
	values := map[string]string{}
	env := New(Server, func(name string) string { return values[name] })
	if _, err := env.Required("SERVERURL_SPOOL"); err == nil || !strings.HasPrefix(err.Error(), "server: SERVERURL_SPOOL is not set: a SQLite file") {
		t.Error(err)
	}
	for s, want := range map[string]int{"": 0, "7": 7, "0": -1, "-1": -1, "x": -1, "1048577": -1} {
		values["SERVERURL_MAX_INFLIGHT_MIB"] = s
		if n, err := env.Int("SERVERURL_MAX_INFLIGHT_MIB"); (err != nil) != (want < 0) || err == nil && n != want {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
	for s, want := range map[string]bool{"": true, "3s": true, "3": false, "-1s": false} {
		values["SERVERURL_SHUTDOWN_DELAY"] = s
		if d, err := env.Duration("SERVERURL_SHUTDOWN_DELAY"); (err == nil) != want {
			t.Errorf("%q: %v, %v", s, d, err)
		}
	}
}

func TestResolve(t *testing.T) {
	values := map[string]string{"SERVERURL_SECRET_ARN": "a", "INTERACTLY_API_KEY_ARN": "b", "INTERACTLY_API_KEY": "itself", "TABLE_NAME": "calls"}
	env := New(AWS, func(name string) string { return values[name] })
	resolved, err := env.Resolve(func(arn string) (string, error) { return "value of " + arn, nil })
	if err != nil || resolved.Get("SERVERURL_SECRET") != "value of a" || resolved.Get("INTERACTLY_API_KEY") != "itself" || resolved.Get("TABLE_NAME") != "calls" {
		t.Error(err, resolved.Get("SERVERURL_SECRET"), resolved.Get("INTERACTLY_API_KEY"))
	}
	away := errors.New("away")
	if _, err := env.Resolve(func(string) (string, error) { return "", away }); err != away {
		t.Error(err)
	}
}

func TestHelp(t *testing.T) {
	help := Help(Server)
	if !strings.Contains(help, "  SERVERURL_ADDR, -addr\n        the address to listen on, HOST:PORT (default: :8080; with -development 127.0.0.1:8080)\n") || strings.ContainsAny(help, "`[") {
		t.Error(help)
	}
}
