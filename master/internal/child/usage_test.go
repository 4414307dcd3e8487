package child

import (
	"os"
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	const good = "17 (a) b) ) S 1 17 17 0 -1 4194560 1 0 0 0 123 45 0 0 20 0 9 0 2000 1000000 50 18446744073709551615 1 1"
	page := int64(os.Getpagesize())
	for _, test := range []struct {
		name, stat string
		want       Usage
		fails      bool
	}{
		{"as the kernel writes it", good, Usage{1680 * time.Millisecond, 50 * page, 10 * time.Second}, false},
		{"empty", "", Usage{}, true},
		{"cut short", good[:60], Usage{}, true},
		{"no number", "1 (a) S 1 17 17 0 -1 4194560 1 0 0 0 x 45 0 0 20 0 9 0 2000 1000000 50", Usage{}, true},
		{"negative", "1 (a) S 1 17 17 0 -1 4194560 1 0 0 0 1 -45 0 0 20 0 9 0 2000 1000000 50", Usage{}, true},
		{"too much", "1 (a) S 1 17 17 0 -1 4194560 1 0 0 0 1 9223372036854775807 0 0 20 0 9 0 2000 1000000 50", Usage{}, true},
		{"started later", "1 (a) S 1 17 17 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 9 0 4000 1000000 0", Usage{}, false},
	} {
		got, err := parseUsage([]byte(test.stat), 30*time.Second)
		if got != test.want || (err != nil) != test.fails {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := UsageOf(os.Getpid())
	if err != nil || u.RSS <= 0 || u.Age > time.Hour {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("there is no such process")
	}
}
