// Package simulate is Interactly in a box: it plays whole calls at a server
// URL, with events and tool requests as Interactly sends them, and tells what
// the backend did wrong. It is an independent reading of the wire and shares no
// code with the backend.
//
// In a test of your own backend:
//
//	url, secret := servertest.Start(t, p)
//	simulatetest.Run(t, simulate.Options{URL: url, Secret: secret}, "booking", "barge-in", "testdata/mine.yaml")
//
// A call is played from a scenario, a text file that docs/scenarios.md
// describes; [List] names those that are built in. Faults make the network as
// bad as it can be: events twice, out of order, late, or never. What a scenario
// expects must hold all the same.
package simulate
