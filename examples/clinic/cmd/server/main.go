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
	"github.com/serverurl/serverurl/platform"
	"github.com/serverurl/serverurl/server"
)

func main() {
	c := clinic.Config{Insurance: os.Getenv("CLINIC_INSURANCE_URL"), Texts: os.Getenv("CLINIC_TEXTS_URL")}
	var o platform.Options
	if url := os.Getenv("CLINIC_DATABASE_URL"); url != "" {
		db, err := pgxpool.New(context.Background(), url)
		if err != nil {
			fmt.Fprintln(os.Stderr, "clinic: CLINIC_DATABASE_URL is not a URL of PostgreSQL")
			os.Exit(1)
		}
		c.Book = postgres.Book{Pool: db}
		o = platform.Options{
			Start: func(ctx context.Context) error { _, err := db.Exec(ctx, postgres.Tables); return err },
			Ready: db.Ping,
			Close: []func(context.Context) error{func(context.Context) error { db.Close(); return nil }},
		}
	}
	os.Exit(server.Main(clinic.New(c), o))
}
