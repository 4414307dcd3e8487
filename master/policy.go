package master

// candidate is a worker as a dispatch policy sees it.
type candidate struct {
	load int // connections it has, queued ones included
	room int // connections it can take now
}

// least returns the candidate with the smallest load that has room, or -1.
// Ties rotate: the search starts at turn.
func least(candidates []candidate, turn int) int {
	best := -1
	for k := range candidates {
		i := (turn + k) % len(candidates)
		if candidates[i].room > 0 && (best < 0 || candidates[i].load < candidates[best].load) {
			best = i
		}
	}
	return best
}
