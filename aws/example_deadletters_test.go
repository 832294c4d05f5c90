package aws_test

import (
	"context"
	"fmt"
	"log"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/core"
)

// A program that is not a function lists the dead letters of a stack and
// redrives each, which is recorded in the audit log.
func ExampleInbox_DeadLetters() {
	ctx := context.Background()
	store, inbox, err := aws.Open(ctx, "calls", "https://sqs.eu-west-1.amazonaws.com/123456789012/events")
	if err != nil {
		log.Fatal(err)
	}
	dead := inbox.DeadLetters("https://sqs.eu-west-1.amazonaws.com/123456789012/events-dead")
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
