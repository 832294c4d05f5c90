package emulate

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/internal/testing/mototest"
)

func TestMain(m *testing.M) {
	temp, err := os.MkdirTemp("", "serverurl-emulate-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv("TMPDIR", temp) // what the tests build goes with them
	goleak.VerifyTestMain(mototest.Tests{M: m}, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(temp)
		os.Exit(code)
	}))
}

func TestBatchReplies(t *testing.T) {
	batch := []message{{ID: "a"}, {ID: "b"}}
	for _, c := range []struct {
		why, reply string
		done       int
		bad        bool
	}{
		{"nothing is success", ``, 2, false},
		{"null is success", `null`, 2, false},
		{"no failures", `{"batchItemFailures":[]}`, 2, false},
		{"one failed", `{"batchItemFailures":[{"itemIdentifier":"a"}]}`, 1, false},
		{"an empty id fails the batch", `{"batchItemFailures":[{"itemIdentifier":""}]}`, 0, true},
		{"an unknown id fails the batch", `{"batchItemFailures":[{"itemIdentifier":"c"}]}`, 0, true},
		{"no JSON fails the batch", `oops`, 0, true},
	} {
		if done, err := succeeded(batch, []byte(c.reply)); len(done) != c.done || (err != nil) != c.bad {
			t.Errorf("%s: %d done, %v", c.why, len(done), err)
		}
	}
}
