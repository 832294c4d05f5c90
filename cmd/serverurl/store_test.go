package main

import (
	"bytes"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
	"github.com/serverurl/serverurl/internal/testing/mototest"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/sqldb"
)

// Commands that only read open a store of every kind, and SQL databases refuse
// to be written to through it.
func TestStoresAreOpenedReadOnly(t *testing.T) {
	record := records.Record{Key: "calls/CA1", Value: []byte("kept")}
	sqlDatabase := func(url string) func(t *testing.T) string {
		return func(t *testing.T) string {
			db, err := sqldb.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Store().Commit(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			return url
		}
	}
	for _, c := range []struct {
		name    string
		make    func(t *testing.T) string
		refuses bool
	}{
		{"SQLite", func(t *testing.T) string { return sqlDatabase(filepath.Join(t.TempDir(), "serverurl.db"))(t) }, true},
		{"Postgres", func(t *testing.T) string {
			return sqlDatabase(pgtest.New(t, &pgtest.Options{NoSync: true}).Database(t))(t)
		}, true},
		{"DynamoDB", func(t *testing.T) string {
			endpoint := mototest.URL(t)
			t.Setenv("AWS_ACCESS_KEY_ID", "test")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
			cfg, err := awsconfig.LoadDefaultConfig(t.Context(), awsconfig.WithRegion("us-east-1"))
			if err != nil {
				t.Fatal(err)
			}
			client := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = awssdk.String(endpoint) })
			table, err := emulate.CreateTable(t.Context(), client, "t-"+strings.ToLower(rand.Text()))
			if err != nil {
				t.Fatal(err)
			}
			if err := aws.NewStore(client, table).Commit(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_REGION", "us-east-1")
			t.Setenv("AWS_ENDPOINT_URL", endpoint)
			return "aws://" + table
		}, false},
		{"Firestore", func(t *testing.T) string {
			host, project := gcptest.Firestore(t), gcptest.Project()
			t.Cleanup(gcptest.Stop)
			t.Setenv("FIRESTORE_EMULATOR_HOST", host)
			if err := gcptest.Store(t, host, project).Commit(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			return "gcp://" + project + "/(default)"
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			where := c.make(t)
			var out, errs bytes.Buffer
			if code := run(t.Context(), []string{"calls", "--store", where, "--json"}, &out, &errs); code != 0 || !strings.Contains(out.String(), `"calls": []`) {
				t.Errorf("calls: exit %d, %s%s", code, out.String(), errs.String())
			}
			r, err := storeFlags{Store: where}.openReadOnly(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			got, err := r.store.Get(t.Context(), record.Key)
			if err != nil || string(got[0].Value) != "kept" {
				t.Fatalf("%q, %v; want the record", got[0].Value, err)
			}
			if c.refuses {
				if err := r.store.Commit(t.Context(), records.Record{Key: "calls/CA2", Value: []byte("x")}); err == nil {
					t.Error("the store accepts a write")
				}
			}
		})
	}
}

// On AWS the same flag names the queues, and dead letters are listed and
// redriven as on a database.
func TestDeadLettersOnAWS(t *testing.T) {
	endpoint := mototest.URL(t)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint} {
		t.Setenv(name, value)
	}
	cfg, err := awsconfig.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := "t-" + strings.ToLower(rand.Text())
	if _, err := emulate.CreateTable(t.Context(), dynamodb.NewFromConfig(cfg), name); err != nil {
		t.Fatal(err)
	}
	queue, err := emulate.CreateQueue(t.Context(), sqs.NewFromConfig(cfg), name)
	if err != nil {
		t.Fatal(err)
	}
	_, dead, err := aws.Open(t.Context(), name, queue+"-dead")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Put(t.Context(), core.Envelope{ID: "e1", Type: event.TypeHang, Call: "CA1", Received: time.Now(), Body: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	where := "aws://" + name + "?queue=" + queue + "&dlq=" + queue + "-dead"
	for _, c := range []struct{ command, want string }{
		{"dlq list --json", `"call": "CA1"`},
		{"dlq redrive --call CA1 --actor riley", "1 redriven"},
		{"dlq list", "no dead letters"},
		{"audit", "riley"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(c.command), "--store", where), &out, &errs); code != 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit %d, %s%s; want %s", c.command, code, out.String(), errs.String(), c.want)
		}
	}
}
