// Command hellogcp is the least that a function of Google's framework can be:
// it answers.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

func main() {
	err := funcframework.RegisterHTTPFunctionContext(context.Background(), "/", hello)
	if err == nil {
		err = funcframework.StartHostPort("127.0.0.1", os.Getenv("PORT"))
	}
	log.Fatal(err)
}
