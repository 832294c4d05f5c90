// Command chaos tests the promises of docs/reliability.md with real processes
// and real stores. It needs no cloud: DynamoDB is an emulator.
//
//	go run ./chaos --gate --store sqlite       # minutes
//	go run ./chaos --gate --quick              # under a minute, for every merge
//	go run ./chaos --release --store sqlite --cycles 10000
//
// It builds the server as it is deployed, with a backend whose effects can be
// counted, runs one to four processes of it on one store, sends load at a fixed
// rate whatever the replies are, and kills, pauses, disconnects and slows what it
// can reach. Then a checker compares the history: what was acknowledged, what is
// stored, which effects took place, what was replied. It prints counts, and exits
// with 1 if one of them is not zero.
//
// A run prints its seed; --seed repeats its load and faults, as far as processes
// and disks allow.
package main
