// Package emulate is Google Cloud Functions on this machine.
package emulate
