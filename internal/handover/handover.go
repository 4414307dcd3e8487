// Package handover is a test of master and worker together: the master's real
// dispatcher and workers' real loops at real queues, in one process and turn by
// turn, under whatever order of arrivals, moves and deaths. Packages master and worker
// do not import each other; this package has nothing but the test, which imports both.
//
// It drives them by master.TestDispatcher and worker.TestWorker, which exist only
// in builds with the tag testdoors. Without the tag, the test builds and runs
// itself with it.
package handover
