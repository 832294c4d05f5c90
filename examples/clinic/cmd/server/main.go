// Command server runs the clinics as a plain HTTP server, with their visits in
// PostgreSQL if CLINIC_DATABASE_URL is set.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serverurl/serverurl/examples/clinic"
	"github.com/serverurl/serverurl/examples/clinic/postgres"
	"github.com/serverurl/serverurl/server"
)

func main() {
	c := clinic.Config{Insurance: os.Getenv("CLINIC_INSURANCE_URL"), Texts: os.Getenv("CLINIC_TEXTS_URL")}
	if url := os.Getenv("CLINIC_DATABASE_URL"); url != "" {
		db, err := pgxpool.New(context.Background(), url)
		if err == nil {
			_, err = db.Exec(context.Background(), postgres.Tables)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "clinic: the database in CLINIC_DATABASE_URL cannot be opened")
			os.Exit(1)
		}
		defer db.Close()
		c.Book = postgres.Book{Pool: db}
	}
	server.Main(clinic.New(c))
}
