// Command chaos measures the promises of docs/reliability.md on real
// processes and real stores.
//
//	go run ./chaos --gate --store sqlite       # minutes
//	go run ./chaos --gate --quick              # under a minute, for every merge
//	go run ./chaos --release --store sqlite --cycles 10000
//
// It builds the server as it is deployed, with a backend whose effects can be
// counted, runs one to four processes of it on one store, plays load at a given
// rate whatever comes back, and kills, pauses, cuts and slows what it can
// reach. Afterwards a checker reads the whole history: what was acknowledged,
// what is stored, what was done, what was replied. It prints counts, and exits
// 1 when one that has to be zero is not.
//
// A run prints its seed; --seed plays the same load and the same faults again,
// as far as processes and disks allow.
package main
