package emulate

import (
	"bytes"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
)

// Eventarc makes CloudEvents of the requests that a push subscription sends, as
// Eventarc does between Pub/Sub and a function: the body stays as it is, the
// event's attributes are header fields. source is the topic,
// "//pubsub.googleapis.com/projects/P/topics/T".
func Eventarc(f http.Handler, source string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		var push struct {
			Message struct {
				ID string `json:"messageId"`
				At string `json:"publishTime"`
			} `json:"message"`
		}
		if json.Unmarshal(body, &push) != nil || push.Message.ID == "" {
			http.Error(w, "no push message", http.StatusBadRequest)
			return
		}
		r = r.Clone(r.Context())
		r.Method, r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "POST", "/", "", ""
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header = http.Header{
			"Content-Type":   {"application/json"},
			"Ce-Specversion": {"1.0"},
			"Ce-Id":          {push.Message.ID},
			"Ce-Type":        {"google.cloud.pubsub.topic.v1.messagePublished"},
			"Ce-Source":      {source},
		}
		if push.Message.At != "" {
			r.Header.Set("Ce-Time", push.Message.At)
		}
		f.ServeHTTP(w, r)
	})
}
