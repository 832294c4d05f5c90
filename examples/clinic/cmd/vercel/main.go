// Command vercel runs the clinics on Vercel.
package main

import (
	"os"

	"github.com/serverurl/serverurl/examples/clinic"
	"github.com/serverurl/serverurl/vercel"
)

func main() {
	os.Exit(vercel.Main(clinic.New(clinic.Config{Insurance: os.Getenv("CLINIC_INSURANCE_URL"), Texts: os.Getenv("CLINIC_TEXTS_URL")})))
}
