//go:build !race

package worker

// raceDetector says whether the program was built with it.
const raceDetector = false
