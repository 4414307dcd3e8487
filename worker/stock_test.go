package worker

import "testing"

// Values are new, each once, and many at a time once there are many.
func TestStock(t *testing.T) {
	var s stock[Conn]
	seen := make(map[*Conn]bool)
	for inUse := range 20_000 {
		c := s.take(inUse)
		if seen[c] || *c != (Conn{}) {
			t.Fatalf("number %d is not new", inUse)
		}
		seen[c] = true
		c.id = 1
		if most := max(1, inUse/stockShare); len(s.ready) >= min(most, stockMost) {
			t.Fatalf("with %d in use %d are ready", inUse, len(s.ready))
		}
	}
	if n := len(s.ready); n == 0 {
		t.Error("none is ready")
	}
}
