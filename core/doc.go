// Package core is the event processor behind a server URL: bytes in, reply
// out. It knows no platform, opens no socket, and leaves nothing running that
// [Processor.Drain] does not wait for.
//
// A backend is a [Processor] with tools and handlers on it:
//
//	p := core.New()
//	core.AddTool(p, core.Tool{Name: "find_open_slots", Description: "Open times on a day.", Effect: core.ReadOnly}, findOpenSlots)
//	core.AddTool(p, core.Tool{Name: "book_appointment", Description: "Book one appointment."}, bookAppointment)
//	p.OnReport(func(ctx context.Context, r core.Report) error { ... })
//	p.OnCallEnded(func(ctx context.Context, e core.CallEnded) error { ... })
//
// A platform's room gives it a [records.Store], an [Inbox] and the secrets of its
// sender with [Processor.Bind]; its adapter hands it each request with
// [Processor.Handle], its inbox each accepted event with [Processor.Deliver],
// and its clock calls [Processor.Sweep] about once a minute.
//
// # The way of an event
//
// Interactly sends each event once and never again (docs/events.md#delivery).
// So [Processor.Handle] checks who sent it and that it is sound, masks the
// secrets in it, makes it durable in the inbox, and only then answers 200.
// [Processor.Deliver] merges it into the state of its call in one atomic
// commit, then runs the handlers; the inbox repeats it until that is done.
// Status never goes backwards, an older snapshot changes nothing, the first
// event of a call may be any, and OnCallEnded runs for one event of a call.
//
// # The way of a tool call
//
// A caller is on the line, so a tool call is answered inside a budget, with
// 200 and one line that can be spoken, whatever went wrong. Tools that change
// something run at most once for the same request: duplicates, also on
// another instance, wait and get the same bytes. After a crash in the middle
// such a tool is asked what happened (see [RegisteredTool.Reconcile]) or refused,
// never silently run again.
//
// # What it keeps to itself
//
// Payloads hold patients' data, our own secret and URLs that control the live
// call. Secrets are masked before anything is stored; logs hold an allowlist
// of fields; what a stranger is told is constant.
package core
