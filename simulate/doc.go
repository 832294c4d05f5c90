// Package simulate plays whole calls against a server URL, as Interactly does:
// events and tool requests go out, and what the backend did wrong comes back.
// It never contacts Interactly, and it shares no code with the backend, so that
// it is a second, independent implementation of the protocol.
//
//	s, err := simulate.Load("booking")
//	if err != nil {
//		return err
//	}
//	r, err := simulate.Run(ctx, simulate.Options{URL: "http://127.0.0.1:8080", Secret: secret, NoDelay: true}, s)
//	if err != nil {
//		return err
//	}
//	for _, f := range r.Failures {
//		fmt.Println(f) // booking.yaml:12: book_appointment: result "Sorry." does not contain "Booked"
//	}
//
// A call follows a [Scenario], a YAML file described in docs/scenarios.md;
// [List] returns the built-in ones. Faults degrade the network: events are
// duplicated, reordered, delayed or lost. The expectations of a scenario must
// hold anyway. An [API] serves the calls that were played as Interactly's API
// does, for tests of backfill. Package simulatetest runs scenarios in a Go test.
package simulate
