package statements_test

import (
	"fmt"
	"strings"

	"github.com/serverurl/serverurl/sqldb/statements"
)

// The parameters of Get are the directory and the name of each record.
func Example_readRecord() {
	query := statements.Get(2)
	parameters := []any{"calls", "call-1", "calls", "call-2"}
	fmt.Println(len(parameters), strings.HasSuffix(query, "AND ((dir = ?1 AND name = ?2) OR (dir = ?3 AND name = ?4))"))
	// Output: 4 true
}
