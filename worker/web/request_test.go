package web

import (
	"net/http"
	"testing"
)

// TestVectors: what we answer to what is known to be malicious, beside net/http.
func TestVectors(t *testing.T) {
	std, whole := newNetHTTP(t, http.HandlerFunc(described)), newServed(t, http.HandlerFunc(described))
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			theirs := parseAnswers(std.answer([]byte(v.input)))
			want := v.std
			if want == "" {
				want = v.ours
			}
			if theirs.statuses != want {
				t.Errorf("net/http answered %q, not %q", theirs.statuses, want)
			}
			for _, size := range []int{1 << 30, 1, 3, 1000} {
				if size < 1000 && len(v.input) > 10_000 {
					continue
				}
				for _, all := range []string{
					byParser(described, pieces([]byte(v.input), size)...),
					whole.answer(pieces([]byte(v.input), size)...),
				} {
					ours := parseAnswers(all)
					if ours.statuses != v.ours {
						t.Errorf("in pieces of %d: %q, not %q: %.2000q", size, ours.statuses, v.ours, ours.texts)
					} else if v.std == "" {
						compareAnswers(t, ours, theirs)
					}
				}
			}
		})
	}
}

func compareAnswers(t *testing.T, ours, theirs answered) {
	t.Helper()
	for i := range min(len(ours.texts), len(theirs.texts)) {
		if ours.texts[i] != theirs.texts[i] {
			t.Errorf("answer %d is\n%.2000s\nnet/http's\n%.2000s", i, ours.texts[i], theirs.texts[i])
		}
	}
	if len(ours.texts) != len(theirs.texts) {
		t.Errorf("%d answered, net/http gives %d", len(ours.texts), len(theirs.texts))
	}
}

func pieces(in []byte, size int) (fragments [][]byte) {
	for len(in) > size {
		fragments = append(fragments, in[:size])
		in = in[size:]
	}
	return append(fragments, in)
}
