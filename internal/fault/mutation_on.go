//go:build mutations

package fault

import "os"

var mutation = os.Getenv("SERVERURL_MUTATION")

// Mutated reports whether SERVERURL_MUTATION names the rule, which is then
// broken. Such a program is never deployed.
func Mutated(rule string) bool { return mutation == rule }
