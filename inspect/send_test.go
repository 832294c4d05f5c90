package inspect

import (
	"fmt"
	"strings"
	"testing"
)

func TestDiffLines(t *testing.T) {
	long := ""
	for i := range 9 {
		long += fmt.Sprintf("%d\n", i)
	}
	for _, c := range []struct{ name, before, after, want string }{
		{"equal texts", "200\n{}", "200\n{}", ""},
		{"a line that changed", "200\n{\na\n}", "200\n{\nb\n}", " 200| {|-a|+b| }"},
		{"lines that look like a header", "--- x\n@@ y", "--- x\n@@ z", " --- x|-@@ y|+@@ z"},
		{"far changes", "a\n" + long + "b", "c\n" + long + "d", "-a|+c| 0| 1| 2| …| 6| 7| 8|-b|+d"},
		{"an empty line", "a\n\nb", "a\n\nc", " a| |-b|+c"},
	} {
		var got []string
		for _, d := range diffLines(c.before, c.after) {
			got = append(got, fmt.Sprint(d.Sign, d.Text))
		}
		if g := strings.Join(got, "|"); g != c.want {
			t.Errorf("%s: %s, want %s", c.name, g, c.want)
		}
	}
}
