package aws

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/testing/testenv"
)

func readTemplate(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// replace changes a template so that a check has something to find.
func replace(t *testing.T, s, old, with string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("the template has no %q", old)
	}
	return strings.Replace(s, old, with, 1)
}

// lint returns what cfn-lint says about each of the templates, in one run: it
// takes seconds to start.
func lint(t *testing.T, templates ...string) (said [][]string) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-r", "us-east-1", "-f", "json", "-t"}
	for i, template := range templates {
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(file, []byte(template), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "cfn-lint", args...)
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // it exits with 1 and more where it finds something
	var found []struct{ Filename, Message string }
	if err := json.Unmarshal(out, &found, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr.String())
	}
	said = make([][]string, len(templates))
	for _, f := range found {
		i, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(f.Filename), ".yaml"))
		if err != nil {
			t.Fatal(f.Message)
		}
		said[i] = append(said[i], f.Message)
	}
	return said
}

func TestTemplateLints(t *testing.T) {
	testenv.Program(t, "cfn-lint")
	template := readTemplate(t)
	templates := []string{template}
	faults := [][2]string{
		{"provided.al2023", "go1.x"},
		{"FunctionResponseTypes:", "FunctionResponseType:"},
		{"VisibilityTimeout: 720", "VisibilityTimeout: 60"},
		{"!GetAtt DeadQueue.Arn", "!GetAtt DeadQueue.Name"},
	}
	for _, fault := range faults {
		templates = append(templates, replace(t, template, fault[0], fault[1]))
	}
	said := lint(t, templates...)
	if len(said[0]) > 0 {
		t.Errorf("cfn-lint: %q", said[0])
	}
	for i, fault := range faults {
		if len(said[i+1]) == 0 {
			t.Errorf("cfn-lint does not mind %s", fault[1])
		}
	}
}

type resource struct {
	Type           string
	DeletionPolicy string
	Properties     map[string]any
}

// expand returns the resources that CloudFormation is given for each template.
func expand(t *testing.T, templates ...string) (resources []map[string]resource) {
	t.Helper()
	testenv.Program(t, "python3")
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/expand.py")
	cmd.Stdin = strings.NewReader(strings.Join(templates, "\x00"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "No module named 'samtranslator'") && os.Getenv("CI") != "true" {
			t.Skip("NOT RUN: python3 has no samtranslator")
		}
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var all []struct{ Resources map[string]resource }
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		resources = append(resources, a.Resources)
	}
	return resources
}

func ofType(rs map[string]resource, typ string) map[string]resource {
	out := map[string]resource{}
	for name, r := range rs {
		if r.Type == typ {
			out[name] = r
		}
	}
	return out
}

// at follows names and numbers into a value.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			s, _ := v.([]any)
			if p >= len(s) {
				return nil
			}
			v = s[p]
		}
	}
	return v
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// faults are what is too much in the roles of a template: a wildcard in an
// action or a resource, a policy that is somebody else's, an Allow without a
// resource.
func faults(rs map[string]resource) (found []string) {
	roles := ofType(rs, "AWS::IAM::Role")
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		p := roles[name].Properties
		if p["ManagedPolicyArns"] != nil {
			found = append(found, name+": managed policies")
		}
		for _, policy := range list(p["Policies"]) {
			for _, s := range list(at(policy, "PolicyDocument", "Statement")) {
				for _, key := range []string{"Action", "Resource"} {
					b, _ := json.Marshal(at(s, key))
					if at(s, key) == nil || bytes.ContainsAny(b, "*?") {
						found = append(found, fmt.Sprintf("%s: %s %s", name, key, b))
					}
				}
				if at(s, "NotAction") != nil || at(s, "NotResource") != nil {
					found = append(found, name+": a statement of exceptions")
				}
			}
		}
	}
	return found
}

func TestRolesHaveNoWildcard(t *testing.T) {
	template := readTemplate(t)
	templates := []string{template}
	all := [][2]string{
		{"Resource: !GetAtt Table.Arn", `Resource: "*"`},
		{"Resource: !GetAtt Queue.Arn", `Resource: !Sub "${Queue.Arn}*"`},
		{"- dynamodb:GetItem", `- dynamodb:*`},
		{"      Role: !GetAtt WorkerRole.Arn\n", ""}, // SAM then makes a role with managed policies
	}
	for _, seeded := range all {
		templates = append(templates, replace(t, template, seeded[0], seeded[1]))
	}
	resources := expand(t, templates...)
	if found := faults(resources[0]); len(found) > 0 {
		t.Errorf("%q", found)
	}
	for i, seeded := range all {
		if len(faults(resources[i+1])) == 0 {
			t.Errorf("not found: %s", seeded[1])
		}
	}
}

func TestTemplate(t *testing.T) {
	rs := expand(t, readTemplate(t))[0]
	text := func(v any) string { b, _ := json.Marshal(v, json.Deterministic(true)); return string(b) }
	check := func(what string, got any, want string) {
		t.Helper()
		if text(got) != want {
			t.Errorf("%s: got %s, want %s", what, text(got), want)
		}
	}

	// One role for each function, each for its own queue side and log group.
	roles := map[string]bool{}
	for name, f := range ofType(rs, "AWS::Lambda::Function") {
		check(name+" runtime", f.Properties["Runtime"], `"provided.al2023"`)
		check(name+" architecture", f.Properties["Architectures"], `["arm64"]`)
		roles[text(f.Properties["Role"])] = true
		group, _ := at(f.Properties, "LoggingConfig", "LogGroup", "Ref").(string)
		check(name+" logs", at(rs[group].Properties, "RetentionInDays"), `{"Ref":"LogDays"}`)
	}
	if len(roles) != 3 {
		t.Errorf("%d roles for 3 functions", len(roles))
	}
	allowed := func(role string) (all []string) {
		for _, s := range list(at(rs[role].Properties, "Policies", 0, "PolicyDocument", "Statement")) {
			for _, a := range list(at(s, "Action")) {
				all = append(all, a.(string))
			}
		}
		return all
	}
	if r := allowed("ReceiverRole"); slices.Contains(r, "sqs:ReceiveMessage") || slices.Contains(r, "sqs:DeleteMessage") || !slices.Contains(r, "sqs:SendMessage") {
		t.Errorf("the receiver may %v", r)
	}
	if w := allowed("WorkerRole"); slices.Contains(w, "sqs:SendMessage") || !slices.Contains(w, "sqs:DeleteMessage") {
		t.Errorf("the worker may %v", w)
	}
	if s := allowed("SweeperRole"); strings.Contains(strings.ReplaceAll(text(s), "sqs:SendMessage", ""), "sqs:") {
		t.Errorf("the sweeper may %v", s)
	}

	// A public URL needs two permissions since October 2025, and nothing else is public.
	public := map[string]string{}
	for _, p := range ofType(rs, "AWS::Lambda::Permission") {
		if p.Properties["Principal"] == "*" {
			check("public function", p.Properties["FunctionName"], `{"Ref":"ReceiverFunction"}`)
			public[p.Properties["Action"].(string)] = text(p.Properties["FunctionUrlAuthType"]) + text(p.Properties["InvokedViaFunctionUrl"])
		}
	}
	want := map[string]string{"lambda:InvokeFunctionUrl": `"NONE"null`, "lambda:InvokeFunction": `nulltrue`}
	if !maps.Equal(public, want) {
		t.Errorf("public permissions %v, want %v", public, want)
	}

	// The queue comes to an end, and its failures are looked at one by one.
	queue := rs["Queue"].Properties
	check("dead letters", at(queue, "RedrivePolicy", "deadLetterTargetArn"), `{"Fn::GetAtt":["DeadQueue","Arn"]}`)
	check("source", rs["WorkerFunctionQueue"].Properties["FunctionResponseTypes"], `["ReportBatchItemFailures"]`)
	visibility, _ := queue["VisibilityTimeout"].(float64)
	timeout, _ := rs["WorkerFunction"].Properties["Timeout"].(float64)
	if visibility < 6*timeout || timeout == 0 {
		t.Errorf("visibility %v s for a worker of %v s; AWS asks for six times", visibility, timeout)
	}
	for _, name := range []string{"Queue", "DeadQueue"} {
		check(name+" encryption", rs[name].Properties["SqsManagedSseEnabled"], "true")
		check(name+" retention", rs[name].Properties["MessageRetentionPeriod"], "1209600")
	}

	// The table is the one that the store expects, and outlives the stack.
	table := rs["Table"]
	check("keys", table.Properties["KeySchema"], `[{"AttributeName":"d","KeyType":"HASH"},{"AttributeName":"n","KeyType":"RANGE"}]`)
	check("TTL", table.Properties["TimeToLiveSpecification"], `{"AttributeName":"e","Enabled":true}`)
	check("recovery", at(table.Properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), "true")
	check("encryption", at(table.Properties, "SSESpecification", "SSEEnabled"), "true")
	check("deletion", table.DeletionPolicy, `"Retain"`)

	for _, alarm := range []string{"DeadLettersAlarm", "RefusedEventsAlarm", "ReceiverErrorsAlarm", "ReceiverThrottlesAlarm",
		"WorkerErrorsAlarm", "WorkerThrottlesAlarm", "SweeperErrorsAlarm", "SlowQueueAlarm"} {
		check(alarm, rs[alarm].Type, `"AWS::CloudWatch::Alarm"`)
	}
	check("schedule", rs["SweeperFunctionEveryMinute"].Properties["ScheduleExpression"], `"rate(1 minute)"`)
}

// CloudFormation reads no YAML aliases and merges, which linters do not mind.
func TestTemplateHasNoAliases(t *testing.T) {
	for i, line := range strings.Split(readTemplate(t), "\n") {
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(line, "#") || len(word) < 2 {
				continue
			}
			if word[0] == '&' || word[0] == '*' || word == "<<:" {
				t.Errorf("line %d: %s", i+1, word)
			}
		}
	}
}

// What `sam build` runs gives a program for the runtime of the template.
func TestMakefileBuildsEachFunction(t *testing.T) {
	testenv.Program(t, "make")
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "make", append(args, "-C", "..", "ARTIFACTS_DIR="+dir)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	names := slices.Sorted(maps.Keys(ofType(expand(t, readTemplate(t))[0], "AWS::Lambda::Function")))
	for _, name := range names { // all have one recipe: it is run once
		if one, this := run("-n", "build-"+names[0]), run("-n", "build-"+name); this != one {
			t.Errorf("%s is built by\n%s\nand %s by\n%s", names[0], one, name, this)
		}
	}
	run("build-" + names[0])
	f, err := elf.Open(filepath.Join(dir, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_AARCH64 || f.Section(".interp") != nil {
		t.Errorf("%v, dynamic: %t; want a static program for arm64", f.Machine, f.Section(".interp") != nil)
	}
}

// The template has the number of attempts after which the log says that a message is a
// dead letter.
func TestMaxAttempts(t *testing.T) {
	if !strings.Contains(readTemplate(t), fmt.Sprintf("maxReceiveCount: %d\n", maxAttempts)) {
		t.Errorf("not %d", maxAttempts)
	}
}
