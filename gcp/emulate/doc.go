// Package emulate is Google Cloud Functions on this machine: it builds what
// `gcloud functions deploy` would upload, with a main like the one that
// Google's builder writes around it, and runs it under the functions
// framework. It has no Docker, no account, and only listens on loopback.
//
//	err := emulate.Run(ctx, emulate.Options{Addr: "127.0.0.1:8080", Stdout: os.Stdout})
//
// runs three functions of one upload: Receive behind the address, Deliver
// behind a push subscription, Sweep behind a clock. Their Firestore and Pub/Sub are Google's own
// emulators where they are on the machine; else stand-ins in memory, which
// [Run] says.
//
// What it does as Google does: a process for each instance, up to 80 requests
// at a time in one, a time limit that answers 504, 32 MiB of a request, a new process
// after one that ended, events as Eventarc sends them, and with
// [Options.Freeze] an instance that is stopped whenever it has no request.
//
// What it does not: IAM, TLS, CPU shares, memory limits, more instances when
// all are busy, Cloud Scheduler's tokens.
package emulate
