package master

import (
	"strings"
	"testing"
)

func TestStatusText(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "2 workers ready", "2 workers ready"},
		{"lines", "a\n b\r\nREADY=1\n", "a b READY=1"},
		{"escape sequences", "\x1b[2J\x00\u009b", "\ufffd[2J\ufffd\ufffd"},
		{"no UTF-8", "a\xff", "a\ufffd"},
		{"cut within a character", strings.Repeat("a", maxStatusLine-1) + "é", strings.Repeat("a", maxStatusLine-1)},
	} {
		if got := statusText(test.text); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
