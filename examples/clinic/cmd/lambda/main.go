// Command lambda runs the clinics on AWS Lambda.
package main

import (
	"os"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/examples/clinic"
)

func main() {
	os.Exit(aws.Main(clinic.New(clinic.Config{Insurance: os.Getenv("CLINIC_INSURANCE_URL"), Texts: os.Getenv("CLINIC_TEXTS_URL")})))
}
