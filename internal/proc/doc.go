// Package proc freezes, wakes and ends the processes that emulators start, as
// clouds do with their instances.
package proc
