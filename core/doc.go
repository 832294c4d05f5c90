// Package core is the event processor behind a server URL: bytes in, reply out.
// It knows no platform, opens no socket, and starts nothing that
// [Processor.Drain] does not wait for.
//
// A backend is a [Processor] with tools and handlers:
//
//	p := core.New()
//	core.AddTool(p, core.Tool{Name: "find_open_slots", Description: "Open times on a day.", Effect: core.ReadOnly}, findOpenSlots)
//	core.AddTool(p, core.Tool{Name: "book_appointment", Description: "Book one appointment."}, bookAppointment)
//	p.OnReport(func(ctx context.Context, r core.Report) error { ... })
//	p.OnCallEnded(func(ctx context.Context, e core.CallEnded) error { ... })
//
// A platform's package gives it a [records.Store], an [Inbox] and a verifier with
// [Processor.Bind]. Its adapter passes each request to [Processor.Handle], its
// inbox each accepted event to [Processor.Deliver], and a timer calls
// [Processor.Sweep] about once a minute.
//
// # Events
//
// Interactly sends each event once and never again (docs/events.md#delivery). So
// [Processor.Handle] authenticates the sender, validates the event, redacts the
// secrets in it, makes it durable in the inbox, and only then answers 200.
// [Processor.Deliver] merges it into the state of its call in one atomic commit,
// then runs the handlers; the inbox repeats that until it succeeds. The status of
// a call never moves back, an older conversation changes nothing, the first event
// of a call may be of any type, and OnCallEnded is called at the end of each call.
//
// # Tool calls
//
// A caller is on the line, so a tool call is answered within a budget, with 200
// and one line that can be spoken, whatever went wrong. A tool that changes
// something runs at most once for the same request: duplicates, also on another
// instance, wait and get the same bytes. After a crash during a run the tool is
// asked for the outcome (see [RegisteredTool.Reconcile]) or the request is
// refused. It never runs again silently.
//
// # Privacy
//
// Payloads contain patients' data, our own secret, and URLs that control the live
// call. Secrets are redacted before anything is stored, logs contain only fields
// of an allowlist, and unauthenticated clients get constant responses.
//
// # Packages around it
//
// Package event has the types of events, package calls reads and manages what is
// stored of calls, package records is the store's contract, and package auth
// authenticates senders.
package core
