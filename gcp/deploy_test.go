package gcp

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/testing/testenv"

	"github.com/serverurl/serverurl/internal/envconfig"
)

// deploy runs deploy.sh with a gcloud that only writes down what it is asked,
// and returns what was printed and what was asked.
func deploy(t *testing.T, args ...string) (printed []string, asked string) {
	t.Helper()
	testenv.Program(t, "bash")
	dir := t.TempDir()
	fake := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'" + dir + "/asked'\ncase \"$*\" in *'secrets describe'*) exit 1 ;; *'secrets create'*) cat >'" + dir + "/secret' ;; *) echo said ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "gcloud"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"deploy.sh", "--project", "p1"}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if command, ok := strings.CutPrefix(line, "+ "); ok {
			printed = append(printed, strings.TrimSpace(command))
		}
	}
	if secret, err := os.ReadFile(filepath.Join(dir, "secret")); err == nil && (len(secret) != 64 || strings.Contains(string(out), string(secret))) {
		t.Errorf("a secret of %d bytes was made, or printed", len(secret))
	}
	text, _ := os.ReadFile(filepath.Join(dir, "asked"))
	return printed, string(text)
}

// Every command is printed before it runs; with --print none runs.
func TestDeployPrints(t *testing.T) {
	printed, asked := deploy(t, "--print")
	if asked != "" {
		t.Errorf("with --print it ran %s", asked)
	}
	ran, asked := deploy(t)
	if len(ran) != len(printed) || len(printed) < 30 {
		t.Errorf("%d commands printed with --print, %d without", len(printed), len(ran))
	}
	// One more is asked than printed: whether there is a secret.
	if n := strings.Count(asked, "\n"); n != len(ran)+1 {
		t.Errorf("%d commands printed, %d ran:\n%s", len(ran), n, asked)
	}
}

// The functions are those of function.go, and they read the variables that are set.
func TestDeployDeploys(t *testing.T) {
	all, _ := deploy(t, "--print")
	function, err := os.ReadFile("../function.go")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, c := range all {
		if !strings.Contains(c, " functions deploy ") {
			continue
		}
		count++
		for _, want := range []string{"--gen2", "--runtime=go127", "--source=.", "--concurrency=80", "--set-secrets=SERVERURL_SECRET="} {
			if !strings.Contains(c, want) {
				t.Errorf("no %s in %s", want, c)
			}
		}
		entry := regexp.MustCompile(`--entry-point=(\w+)`).FindStringSubmatch(c)
		if entry == nil || !strings.Contains(string(function), "func "+entry[1]+"(") {
			t.Errorf("function.go has no %v", entry)
		}
		for _, set := range regexp.MustCompile(`(\w+)=[^ ;\\]*`).FindAllStringSubmatch(c[strings.Index(c, "--set-env-vars=")+len("--set-env-vars="):strings.Index(c, " --set-secrets")], -1) {
			if !strings.Contains(envconfig.Table(envconfig.GCP), "`"+set[1]+"`") {
				t.Errorf("%s is set and not read", set[1])
			}
		}
		if public := strings.Contains(c, " --allow-unauthenticated"); public != (entry[1] == "Receive") {
			t.Errorf("%s open to everybody: %v", entry[1], public)
		}
	}
	if count != 3 {
		t.Errorf("%d functions are deployed", count)
	}
}

// Nobody may do more than its function does.
func TestDeployGrantsTheLeast(t *testing.T) {
	allowed := []string{
		"call roles/eventarc.eventReceiver on projects",
		"call roles/run.invoker on run serverurl-deliver",
		"call roles/run.invoker on run serverurl-sweep",
		"deliver roles/datastore.user on projects, one database",
		"deliver roles/secretmanager.secretAccessor on secrets serverurl-secret",
		"receive roles/datastore.user on projects, one database",
		"receive roles/pubsub.publisher on pubsub serverurl-events",
		"receive roles/secretmanager.secretAccessor on secrets serverurl-secret",
		"sweep roles/datastore.user on projects, one database",
		"sweep roles/secretmanager.secretAccessor on secrets serverurl-secret",
		"Pub/Sub roles/pubsub.publisher on pubsub serverurl-events-dead",
		"Pub/Sub roles/pubsub.subscriber on pubsub $subscription",
	}
	all, _ := deploy(t, "--print")
	var granted []string
	for _, c := range all {
		words := strings.Fields(c)
		at := slices.Index(words, "add-iam-policy-binding")
		if at < 0 {
			continue
		}
		member := regexp.MustCompile(`--member=serviceAccount:(\S+)`).FindStringSubmatch(c)[1]
		who := "Pub/Sub"
		if m := regexp.MustCompile(`^serverurl-(\w+)@p1\.iam`).FindStringSubmatch(member); m != nil {
			who = m[1]
		}
		grant := who + " " + regexp.MustCompile(`--role=(\S+)`).FindStringSubmatch(c)[1] + " on " + words[3]
		if words[3] != "projects" {
			grant += " " + words[at+1]
		}
		if strings.Contains(c, "projects/p1/databases/serverurl") {
			grant += ", one database"
		}
		granted = append(granted, grant)
	}
	slices.Sort(granted)
	slices.Sort(allowed)
	if !slices.Equal(granted, allowed) {
		t.Errorf("granted:\n%s\nwant:\n%s", strings.Join(granted, "\n"), strings.Join(allowed, "\n"))
	}
}

// gcloud understands each command: without an account it comes as far as
// asking for one.
func TestDeployIsUnderstoodByGcloud(t *testing.T) {
	gcloud, bash := testenv.Program(t, "gcloud"), testenv.Program(t, "bash")
	all, _ := deploy(t, "--print")
	config := t.TempDir()
	refused := func(command string) string {
		cmd := exec.CommandContext(t.Context(), bash, "-c", command)
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(gcloud)+":"+os.Getenv("PATH"), "CLOUDSDK_CONFIG="+config, "CLOUDSDK_CORE_DISABLE_PROMPTS=1",
			"trigger=projects/p1/locations/us-central1/triggers/t", "subscription=projects/p1/subscriptions/s", "number=1", "sweep=https://sweep.example.com")
		out, _ := cmd.CombinedOutput()
		if strings.Contains(string(out), "active account") {
			return ""
		}
		return string(out)
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, 4)
	seen := map[string]bool{}
	for _, c := range all {
		if strings.Contains(c, "openssl") {
			continue
		}
		if _, inner, ok := strings.Cut(c, "=$("); ok {
			c = strings.TrimSuffix(inner, ")")
		}
		// The same command with other names is understood too.
		kind := strings.Join(strings.Fields(c)[:6], " ") + strings.Join(regexp.MustCompile(` --[a-z-]+`).FindAllString(c, -1), "")
		if seen[kind] {
			continue
		}
		seen[kind] = true
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if said := refused(c); said != "" {
				t.Errorf("%s\n%s", c, said)
			}
		})
	}
	wg.Wait()
	if refused("gcloud --project=p1 --quiet functions deploy x --gen3") == "" {
		t.Error("a command that gcloud does not understand was not found")
	}
}

// firestore.indexes.json says of the store's fields what deploy.sh sets.
func TestIndexes(t *testing.T) {
	var file struct {
		Indexes   []any `json:"indexes"`
		Overrides []struct {
			Group   string `json:"collectionGroup"`
			Field   string `json:"fieldPath"`
			TTL     bool   `json:"ttl"`
			Indexes []any  `json:"indexes"`
		} `json:"fieldOverrides"`
	}
	text, err := os.ReadFile("../firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all, _ := deploy(t, "--print")
	commands := strings.Join(all, "\n")
	var fields []string
	for _, o := range file.Overrides {
		fields = append(fields, o.Field)
		if o.Group != group || len(o.Indexes) != 0 || o.TTL != (o.Field == fieldExpires) {
			t.Errorf("%+v", o)
		}
		if !strings.Contains(commands, "indexes fields update "+o.Field+" --collection-group="+group) {
			t.Errorf("deploy.sh leaves the index of %s", o.Field)
		}
	}
	if !strings.Contains(commands, "ttls update "+fieldExpires+" --collection-group="+group) {
		t.Error("deploy.sh sets no time to live")
	}
	slices.Sort(fields)
	if want := []string{fieldExpires, fieldToken, fieldValue}; !slices.Equal(fields, want) || len(file.Indexes) != 0 {
		t.Errorf("fields %v, want %v", fields, want)
	}
}
