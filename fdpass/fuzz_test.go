package fdpass

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notOpen is above every descriptor number: closing one from there on is
// harmless.
const notOpen = 1 << 30

// FuzzCollect walks control messages that no kernel would write. Each is two
// bytes, which choose its kind and how long it says it is, in words; then come
// that many words.
func FuzzCollect(f *testing.F) {
	f.Add([]byte{0, 3, 1, 1, 2, 2}, 8)
	f.Add([]byte{2, 1, 0, 2, 0, 255}, 253)
	f.Add([]byte{0, 1, 254, 1, 0, 1}, 8)
	f.Add([]byte{0, 1, 255, 1, 0, 1}, 8)
	f.Fuzz(func(t *testing.T, script []byte, room int) {
		var r Receiver
		space := unsafe.Slice((*byte)(unsafe.Pointer(&r.control)), unsafe.Sizeof(r.control))
		for i := 0; i+4 <= len(space); i += 4 {
			binary.NativeEndian.PutUint32(space[i:], notOpen+uint32(i))
		}
		var want []int // of those that fit
		sound := true  // until one says that it is longer than it can be
		at := 0
		for ; len(script) >= 2 && at+rightsHeaderLen <= len(space); script = script[2:] {
			words := int(script[1])
			length := rightsHeaderLen + 4*words
			header := (*unix.Cmsghdr)(unsafe.Pointer(&space[at]))
			header.Level = unix.SOL_SOCKET
			header.Type = []int32{unix.SCM_RIGHTS, unix.SCM_PIDFD, unix.SCM_CREDENTIALS}[script[0]%3]
			header.SetLen(length)
			switch {
			case script[0] == 254:
				header.SetLen(rightsHeaderLen - 1)
				sound = false
			case script[0] == 255:
				header.SetLen(-1) // of all lengths the longest
				sound = false
			case at+length > len(space):
				sound = false
			}
			if sound && header.Type == unix.SCM_RIGHTS {
				for i := range words {
					want = append(want, notOpen+at+rightsHeaderLen+4*i)
				}
			}
			at += unix.CmsgSpace(4 * words)
		}
		r.message.SetControllen(min(at, len(space)))

		room = min(max(room, 0), 2*MaxFDs)
		fds := make([]int, room)
		n, surplus := r.collect(fds)
		if !slices.Equal(fds[:n], want[:min(room, len(want))]) || surplus != (len(want) > room) {
			t.Errorf("collected %v, surplus %v; want %v in room for %d", fds[:n], surplus, want, room)
		}
	})
}

// FuzzName: what checkName lets pass, the kernel takes, and takes whole.
func FuzzName(f *testing.F) {
	for _, name := range []string{"", "@", "@fdpass-fuzz", "x\x00y", "@x\x00y", "./@x", strings.Repeat("x", 107), "@" + strings.Repeat("ü", 54)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if err := checkName(name); err != nil {
			if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENAMETOOLONG) {
				t.Errorf("an error without a number: %v", err)
			}
			return
		}
		if !isAbstract(name) {
			return // it would touch files
		}
		l, err := Listen(context.Background(), name)
		if errors.Is(err, unix.EADDRINUSE) {
			t.Skip() // another fuzzing process has it
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if bound := l.socket.Addr().String(); bound != name {
			t.Errorf("%q is bound as %q", name, bound)
		}
		c, err := Dial(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close() // it got through
	})
}
