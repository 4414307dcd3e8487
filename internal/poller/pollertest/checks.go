package pollertest

import (
	"time"

	"github.com/usher-go/usher/internal/poller"
	"golang.org/x/sys/unix"
)

var checks = append(append([]check{
	{"what was asked for is reported, and nothing else", func(r *rig) {
		a, b := r.pair()
		r.quiet(r.set)
		must(r.set.Add(a, poller.In, 7))
		r.quiet(r.set)
		must(r.set.Modify(a, poller.In|poller.Out, 8))
		r.await(r.set, event{8, poller.Out})
		write(b)
		r.await(r.set, event{8, poller.In | poller.Out})
		must(r.set.Modify(a, poller.In, 9))
		r.await(r.set, event{9, poller.In})
		must(r.set.Modify(a, 0, 9))
		r.quiet(r.set)
		must(r.set.Del(a))
		must(r.set.Add(a, poller.Out, 10))
		r.await(r.set, event{10, poller.Out})
	}},
	{"a condition is reported for as long as it holds", func(r *rig) {
		a, b := r.pair()
		must(r.set.Add(a, poller.In, 1))
		write(b)
		write(b)
		for range 3 {
			r.await(r.set, event{1, poller.In})
		}
		var one [1]byte
		_, err := unix.Read(a, one[:])
		must(err)
		r.await(r.set, event{1, poller.In})
		read(a)
		r.quiet(r.set)
		write(b)
		r.await(r.set, event{1, poller.In})
	}},
	{"room to write comes back", func(r *rig) {
		a, b := r.pair()
		must(r.set.Add(a, poller.Out, 1))
		for block := make([]byte, 64<<10); ; {
			if _, err := unix.Write(a, block); err == unix.EAGAIN {
				break
			} else if err != nil {
				must(err)
			}
		}
		r.quiet(r.set)
		read(b)
		r.await(r.set, event{1, poller.Out})
	}},
	{"a connection to accept", func(r *rig) {
		listener, address := r.listen()
		must(r.set.Add(listener, poller.In, 1))
		r.quiet(r.set)
		r.dial(address)
		r.await(r.set, event{1, poller.In})
	}},
	{"a connect that succeeds", func(r *rig) {
		_, address := r.listen()
		must(r.set.Add(r.dial(address), poller.Out, 1))
		r.await(r.set, event{1, poller.Out})
	}},
	{"a connect that is refused", func(r *rig) {
		listener, address := r.listen()
		r.closeFD(listener)
		fd := r.own(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0))
		r.prepare(fd)
		if err := unix.Connect(fd, address); err == unix.ECONNREFUSED {
			return // at once: there is nothing to wait for
		} else if err != unix.EINPROGRESS {
			must(err)
		}
		must(r.set.Add(fd, poller.Out, 1))
		r.await(r.set, event{1, poller.Out | poller.Err | poller.Hup})
	}},
	{"the end of the input is In, and no Hup", func(r *rig) {
		a, b := r.tcp()
		must(r.set.Add(a, poller.In, 1))
		must(unix.Shutdown(b, unix.SHUT_WR))
		r.await(r.set, event{1, poller.In})
		must(r.set.Modify(a, 0, 1))
		r.quiet(r.set)
	}},
	{"Hup is reported without being asked for", func(r *rig) {
		a, b := r.tcp()
		must(r.set.Add(a, 0, 1))
		must(unix.Shutdown(b, unix.SHUT_WR))
		r.quiet(r.set)
		must(unix.Shutdown(a, unix.SHUT_WR))
		for range 2 {
			r.await(r.set, event{1, poller.Hup})
		}
	}},
	{"Err is reported without being asked for", func(r *rig) {
		a, b := r.tcp()
		must(r.set.Add(a, 0, 1))
		must(unix.SetsockoptLinger(b, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		r.closeFD(b) // a reset
		for range 2 {
			r.await(r.set, event{1, poller.Err | poller.Hup})
		}
	}},
	{"tags keep all bits", func(r *rig) {
		a, b := r.pair()
		write(b)
		must(r.set.Add(a, poller.In, 0))
		r.await(r.set, event{0, poller.In})
		tags := []uint64{1<<64 - 1, 1<<32 - 1, 1 << 32, 0x0123456789abcdef}
		for bit := range 64 {
			tags = append(tags, 1<<bit)
		}
		for _, tag := range tags {
			must(r.set.Modify(a, poller.In, tag))
			r.await(r.set, event{tag, poller.In})
		}
	}},
	{"a number that is used again has its own tag", func(r *rig) {
		a, b := r.pair()
		must(r.set.Add(a, poller.In, 1))
		write(b)
		r.await(r.set, event{1, poller.In})
		must(r.set.Del(a))
		r.own(unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)) // the open file goes on
		c, d := r.pair()
		must(unix.Dup3(c, a, unix.O_CLOEXEC))
		r.quiet(r.set)
		must(r.set.Add(a, poller.In, 2))
		r.quiet(r.set)
		write(d)
		r.await(r.set, event{2, poller.In})
	}},
	{"what is deleted and closed is gone, though somebody else holds it", func(r *rig) {
		a, b := r.pair()
		passed := r.own(unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)) // as SCM_RIGHTS makes one
		must(r.set.Add(passed, poller.In, 1))
		must(r.set.Del(passed))
		r.closeFD(passed)
		write(b)
		r.quiet(r.set)
		must(r.set.Add(a, poller.In, 2))
		r.await(r.set, event{2, poller.In})
	}},
	{"misuse is an error, and changes nothing", func(r *rig) {
		a, b := r.pair()
		must(r.set.Add(a, poller.In, 1))
		for _, misuse := range []struct {
			what string
			err  error
		}{
			{"added twice", r.set.Add(a, poller.In|poller.Out, 2)},
			{"modified, but never added", r.set.Modify(b, poller.Out, 2)},
			{"deleted, but never added", r.set.Del(b)},
			{"no descriptor", r.set.Add(-1, poller.In, 2)},
		} {
			if misuse.err == nil {
				fail("%s: no error", misuse.what)
			}
		}
		r.quiet(r.set)
		write(b)
		r.await(r.set, event{1, poller.In})
	}},
	{"a descriptor can be in several sets", func(r *rig) {
		a, b := r.pair()
		other := r.newSet()
		must(r.set.Add(a, poller.In, 1))
		must(other.Add(a, poller.In|poller.Out, 2))
		write(b)
		r.await(r.set, event{1, poller.In})
		r.await(other, event{2, poller.In | poller.Out})
		must(other.Del(a))
		r.quiet(other)
		r.await(r.set, event{1, poller.In})
	}},
	{"what finds no room has its turn", func(r *rig) {
		const sockets = 5
		for tag := range uint64(sockets) {
			a, b := r.pair()
			write(b)
			must(r.set.Add(a, poller.In, tag))
		}
		var buffer [1]poller.Event
		for range 3 {
			seen := make(map[uint64]bool)
			for range sockets {
				n, err := r.set.Wait(buffer[:], -1)
				must(err)
				if tag := buffer[0].Tag(); n != 1 || seen[tag] {
					fail("%d events; %d comes before others have come", n, tag)
				}
				seen[buffer[0].Tag()] = true
			}
		}
	}},
	{"a wait with a limit ends, with nothing", func(r *rig) {
		a, _ := r.pair()
		must(r.set.Add(a, poller.In, 1))
		for begun, limit := time.Now(), 20*time.Millisecond; time.Since(begun) < limit; {
			if got := wait(r.set, limit-time.Since(begun)); got != nil {
				fail("%v, want nothing", got)
			}
		}
	}},
	{"close leaves the descriptors open", func(r *rig) {
		a, b := r.pair()
		other := r.newSet()
		must(other.Add(a, poller.In, 1))
		r.sets = r.sets[:1]
		must(other.Close())
		must(r.set.Add(a, poller.In, 2))
		write(b)
		r.await(r.set, event{2, poller.In})
	}},
}, wakerChecks...), costChecks...)
