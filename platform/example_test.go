package platform_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/platform"
	"github.com/serverurl/serverurl/server"
)

// A backend with a database of its own: it is checked at the start and with /readyz,
// and closed at the end. The program serves the practice's website too.
func ExampleOptions() {
	db, err := sql.Open("pgx", os.Getenv("CLINIC_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	site := http.NewServeMux()
	site.HandleFunc("GET /hours", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "from nine to five") })

	os.Exit(server.Main(app.New(), platform.Options{
		Start:  db.PingContext,
		Ready:  db.PingContext,
		Close:  []func(context.Context) error{func(context.Context) error { return db.Close() }},
		Routes: site,
	}))
}
