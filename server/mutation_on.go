//go:build mutations

package server

import "os"

var mutation = os.Getenv("SERVERURL_MUTATION")

// mutated reports whether SERVERURL_MUTATION names the rule, which is then
// broken. Such a program is never deployed.
func mutated(rule string) bool { return mutation == rule }
