package gcp_test

import (
	"context"
	"fmt"
	"log"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/gcp"
)

// A program that is not a function lists the dead letters of a deployment and
// redrives each, which is recorded in the audit log.
func ExampleOpen() {
	ctx := context.Background()
	store, inbox, dead, err := gcp.Open(ctx, "my-project", "serverurl", "serverurl-events")
	if err != nil {
		log.Fatal(err)
	}
	letters, err := dead.List(ctx, 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range letters {
		if _, err := core.Redrive(ctx, store, inbox, dead, d.ID, "sam"); err != nil {
			log.Fatal(err)
		}
		fmt.Println("redriven:", d.ID)
	}
}
