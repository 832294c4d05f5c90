package aws

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "a platform knows core and its own cloud",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", importcheck.Module+"/interactly", importcheck.Module+"/platform", "github.com/cenkalti/backoff/v5/...", "github.com/go-json-experiment/json/...",
		"github.com/aws/aws-lambda-go/...", "github.com/aws/aws-sdk-go-v2/...", "github.com/aws/smithy-go/...")
	importcheck.Check(t, map[string]string{
		"github.com/aws/aws-lambda-go/events/...":    "its structs decode a body twice",
		"github.com/aws/aws-lambda-go/lambdaurl/...": "it drops cookies, and takes an event of another trigger for GET /",
		"testing": "test code must not reach a deployed binary",
	})
}
