package main

import (
	"crypto/rand"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
	"github.com/serverurl/serverurl/internal/testing/mototest"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/sqldb"
)

// What the page opens on another store is read, and SQL databases refuse to
// be written to through it by themselves.
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
			return "dynamodb://" + table + "?region=us-east-1&endpoint=" + url.QueryEscape(endpoint)
		}, false},
		{"Firestore", func(t *testing.T) string {
			host, project := gcptest.Firestore(t), gcptest.Project()
			t.Cleanup(gcptest.Stop)
			t.Setenv("FIRESTORE_EMULATOR_HOST", host)
			if err := gcptest.Store(t, host, project).Commit(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			return "firestore://" + project
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, _, done, err := openReadOnly(t.Context(), c.make(t))
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			got, err := s.Get(t.Context(), record.Key)
			if err != nil || string(got[0].Value) != "kept" {
				t.Fatalf("%q, %v; want what is there", got[0].Value, err)
			}
			if c.refuses {
				if err := s.Commit(t.Context(), records.Record{Key: "calls/CA2", Value: []byte("x")}); err == nil {
					t.Error("it can be written to")
				}
			}
		})
	}
}
