package emulate_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

// storeOn is the store of the functions, from outside.
func storeOn(endpoint, table string) records.Store {
	cfg := awssdk.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("emulated", "emulated", "")}
	return aws.NewStore(dynamodb.NewFromConfig(cfg), table)
}

// Whole calls through what is deployed, behind each front, on DynamoDB and SQS
// of moto, each process frozen after every reply.
func TestCallsOnMoto(t *testing.T) {
	bootstrap, endpoint := deployedProgram(t), moto(t)
	for _, as := range emulate.Triggers {
		t.Run(string(as), func(t *testing.T) {
			name := "played-" + string(as)
			s, store := openServices(t, endpoint, name), storeOn(endpoint, name)
			url := run(t, emulate.Options{Trigger: as, Bootstrap: bootstrap, Freeze: true, MaxConcurrency: 16, Env: s.env})
			simulatetest.Run(t, simulate.Options{
				URL: url, Secret: secret, SettleTimeout: 2 * time.Minute,
				Faults: []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate},
				State:  finalstate.In(store),
			}, "booking", "barge-in", "no-report")
		})
	}
}

// dying is the deployed program with places to die.
var dying = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serverurl-emulate-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bootstrap")
	return path, emulate.Build(context.Background(), "../..", "./cmd/lambda", path, "failpoints")
})

// An environment dies between claim and reply. The next one books nothing
// twice, and says so while it cannot know.
func TestDiesInAToolCallOnMoto(t *testing.T) {
	bootstrap, err := dying()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := moto(t)
	for i, place := range []string{"after claim", "after effect", "after store"} {
		t.Run(place, func(t *testing.T) {
			s, once := openServices(t, endpoint, fmt.Sprintf("dies-in-tool-%d", i)), filepath.Join(t.TempDir(), "once")
			f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: bootstrap, Timeout: 30 * time.Second, Freeze: true,
				Env: append(s.env, "SERVERURL_FAILPOINT="+place, "SERVERURL_FAILPOINT_ONCE="+once)})
			defer f.Close()
			front := httptest.NewServer(emulate.HTTPTrigger(f, emulate.FunctionURL))
			defer front.Close()
			const booking = `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`
			if code, said := post(t, front.URL+"/tools/book_appointment?call=CA1", booking); code != 502 {
				t.Fatalf("it answered %d %s", code, said)
			}
			if _, err := os.Stat(once); err != nil {
				t.Fatal("it did not die where it was told to")
			}
			want, appointments := "still being worked on", "You have 1 appointment"
			switch place {
			case "after claim":
				appointments = "There is no appointment to come"
			case "after store":
				want = "Booked"
			}
			if code, said := post(t, front.URL+"/tools/book_appointment?call=CA1", booking); code != 200 || !strings.Contains(said, want) {
				t.Errorf("then %d %s, want %q", code, said, want)
			}
			if code, said := post(t, front.URL+"/tools/my_appointments", `{"phone":"+14155550142","name":"Sam Rivera"}`); code != 200 || !strings.Contains(said, appointments) {
				t.Errorf("%d %s, want %q", code, said, appointments)
			}
		})
	}
}

// A receiver or a worker dies around an accept, a merge and its handlers. What
// was acknowledged is merged and handled in the end, once.
func TestDiesInAnEventOnMoto(t *testing.T) {
	bootstrap, err := dying()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := moto(t)
	for i, place := range []string{"before put", "after put", "after merge", "after handlers"} {
		t.Run(place, func(t *testing.T) {
			name := fmt.Sprintf("dies-in-event-%d", i)
			s, once := openServices(t, endpoint, name), filepath.Join(t.TempDir(), "once")
			url := run(t, emulate.Options{Bootstrap: bootstrap, Freeze: true,
				Env: append(s.env, "SERVERURL_FAILPOINT="+place, "SERVERURL_FAILPOINT_ONCE="+once)})
			code, _ := post(t, url, `{"message":{"type":"end-of-call-report","call":{"id":"CA1","status":"finished"},"messages":[{"messageId":"welcome-1","role":"assistant","text":"Hello."}]}}`)
			// The receiver dies in the first two, the worker in the others.
			if receiver := strings.HasSuffix(place, " put"); receiver != (code == 502) || !receiver != (code == 200) {
				t.Errorf("status %d", code)
			}
			if place == "before put" {
				return // nothing was promised
			}
			store := storeOn(endpoint, name)
			for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
				c, err := calls.Read(t.Context(), store, "CA1")
				_, died := os.Stat(once)
				if err == nil && c.Ended && c.MessageCount == 1 && c.PendingHandlers == 0 && died == nil && s.waiting(t, s.queue) == 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%+v, %v, died: %v", c.Summary, err, died)
				}
			}
		})
	}
}
