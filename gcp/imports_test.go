package gcp

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.Check(t, map[string]string{
		"github.com/aws/...":                    "a platform knows its own cloud only",
		"github.com/jackc/pgx/...":              "a platform knows its own cloud only",
		"modernc.org/...":                       "a platform knows its own cloud only",
		"github.com/riverqueue/...":             "its inbox is Pub/Sub",
		"cloud.google.com/go/pubsub/v2/pstest":  "test code must not reach a deployed function",
		"testing":                               "test code must not reach a deployed function",
		importcheck.Module + "/app":             "only function.go joins an app to a platform",
		importcheck.Module + "/aws/...":         "a platform knows its own cloud only",
		importcheck.Module + "/server/...":      "a platform knows its own cloud only",
		importcheck.Module + "/sqldb/...":       "its store is Firestore",
		importcheck.Module + "/gcp/emulate/...": "the emulator is never deployed",
	})
}
