package gcp

import (
	"testing"

	"github.com/serverurl/serverurl/internal/walls"
)

func TestWalls(t *testing.T) {
	walls.Check(t, map[string]string{
		"github.com/aws/...":                   "a platform's room knows its own cloud only",
		"github.com/jackc/pgx/...":             "a platform's room knows its own cloud only",
		"modernc.org/...":                      "a platform's room knows its own cloud only",
		"github.com/riverqueue/...":            "its inbox is Pub/Sub",
		"cloud.google.com/go/pubsub/v2/pstest": "test code must not reach a deployed function",
		"testing":                              "test code must not reach a deployed function",
		walls.Module + "/app":                  "only function.go joins an app to a platform",
		walls.Module + "/aws/...":              "a platform's room knows its own cloud only",
		walls.Module + "/server/...":           "a platform's room knows its own cloud only",
		walls.Module + "/sqlstore/...":         "its store is Firestore",
		walls.Module + "/gcp/emulate/...":      "the emulator is never deployed",
	})
}
