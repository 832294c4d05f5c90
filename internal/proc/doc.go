// Package proc suspends, resumes and kills the processes that emulators start, as
// clouds do with their instances. It starts none itself.
package proc
