package buffers

import (
	"testing"

	"pgregory.net/rapid"
)

func TestStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Store
		var buffer []byte
		total := 0
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			more := make([]byte, rapid.IntRange(0, 100_000).Draw(t, "more"))
			buffer = b.Append(buffer, more)
			total += len(more)
			if len(buffer) != total {
				t.Fatalf("%d bytes of %d", len(buffer), total)
			}
		}
		b.Put(buffer)
		kept := 0
		for class, buffers := range b.classes {
			for _, buffer := range buffers {
				if len(buffer) != 0 || cap(buffer) != classSize(class) {
					t.Fatalf("class %d keeps %d of %d bytes", class, len(buffer), cap(buffer))
				}
				kept += cap(buffer)
			}
		}
		if kept > bufferClasses*(classKeepsBytes+classSize(bufferClasses-1)) {
			t.Fatalf("%d bytes kept", kept)
		}
		n := rapid.IntRange(0, 1<<20).Draw(t, "n")
		if got := b.Get(n); len(got) != 0 || cap(got) < n {
			t.Fatalf("get(%d) has %d of %d", n, len(got), cap(got))
		}
	})
}
