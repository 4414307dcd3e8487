// Package master accepts connections and hands them to worker processes. It starts,
// watches and replaces the workers, and moves connections from one to another. The
// program usher runs it; another program can run it, too:
//
//	err := master.Run(ctx, master.Config{
//		Listen:  []string{"127.0.0.1:8888"},
//		Program: []string{"./worker"},
//		Workers: 2,
//	})
//
// The worker is a program of any language that speaks the protocol of package ipc, or
// one in Go on package worker, which this package does not need. It can be the same
// program, as in this package's example:
//
//	func main() {
//		if worker.IsWorker() { // started by the master below
//			worker.Main(handler) // does not return
//		}
//		err := master.Run(context.Background(), master.Config{
//			Listen:  []string{"127.0.0.1:8888"},
//			Program: []string{os.Args[0]},
//			Workers: 2,
//		})
//		...
//	}
//
// Run blocks, on the goroutine that calls it: usually main's. The functions of a
// Config, and its Logger, it calls on goroutines of its own.
//
// The invariant: the master never reads a byte of a client's data, and every
// connection it ever accepted is counted as exactly one of queued, active, closed,
// refused or lost (see Counts).
//
// # What Run does to the process
//
// A master is a whole process, and Run takes what it needs of it, from the call to
// the return:
//
//   - Signals: HUP, INT, QUIT, TERM, USR1, USR2, TTIN and TTOU ask the master for
//     something (docs/operations.md has the list). INT and QUIT stay ignored if INT was. Signals
//     that the program itself has asked os/signal for, it gets as well.
//   - Children: Run waits for every child of the process, and so takes the exit status
//     of those that the program itself has started.
//   - Descriptors: the soft limit (RLIMIT_NOFILE) is raised to the hard one, and stays so.
//   - GOMAXPROCS is raised to one more than Config.Acceptors if it is less, and stays so.
//   - The environment: sockets of systemd (LISTEN_FDS) are taken, and its notify
//     protocol (NOTIFY_SOCKET) is spoken. Workers get none of these variables.
//   - Upgrade: after USR2, or a request on the control socket, this process becomes the
//     program that is now at the path of this one (execve(2)). First a child runs that
//     program, with the same arguments: its Run only says whether it could take over,
//     and returns. Then this process becomes it, and its main has to call Run, too.
//     Workers, sockets and counts go on; of what the program itself had, only
//     Config.Carry does, which the new program gets by Carried. If that does not take
//     over, Run goes on as before.
//
// One Run at a time. When it returns, no worker is left, and no file of its own.
//
// # What an empty Config means
//
// Listen, Program and Workers are all that must be set. Without Control there is no
// control socket: no status, and no commands but signals; upgrades work all the same.
// Without Logger nothing is logged; without PIDFile none is written. A limit of 0 is
// none, unless its comment names a default. With DrainTimeout 0 a worker that is to end
// cuts its connections at once.
package master
