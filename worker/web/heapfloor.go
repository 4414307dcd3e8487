package web

import "sync"

// heapFloorBytes is how much the garbage collector is to take for in use at least.
//
// A worker that serves small answers keeps next to nothing: with a heap of 4 MiB, the least
// that Go begins to collect at, it would collect 20 times a second for what a thousand
// requests leave behind, and each time stop the loop. What counts as in use here is
// never touched, so that it takes no memory; only garbage may come to as much more.
const heapFloorBytes = 16 << 20

// heapFloor is that memory: one for the program, however many handlers it makes.
var heapFloor = sync.OnceValue(func() []byte { return make([]byte, heapFloorBytes) })
