package fdpass_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// patience bounds every wait for an event that is to come.
const patience = 20 * time.Second

// programVariable names, in a re-executed test binary, the program to be.
const programVariable = "FDPASS_TEST_PROGRAM"

// programs are the other programs of the tests and examples. All they know of
// the test is the name of a socket.
var programs = map[string]func(ctx context.Context, name string) error{
	"send a file": func(ctx context.Context, name string) error {
		f, err := os.CreateTemp("", "fdpass")
		if err != nil {
			return err
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil { // nothing but the descriptor leads to it now
			return err
		}
		if _, err := f.WriteString("a line from a file\n"); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil { // the receiver shares the offset
			return err
		}
		return fdpass.SendOne(ctx, name, int(f.Fd()))
	},
	"send a pipe": func(ctx context.Context, name string) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		err = fdpass.SendOne(ctx, name, int(r.Fd()))
		r.Close()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "written after it was passed\n")
		return errors.Join(err, w.Close())
	},
	"send an eventfd": func(ctx context.Context, name string) error {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return err
		}
		if err := fdpass.SendOne(ctx, name, fd); err != nil {
			return err
		}
		var counter [8]byte
		if _, err := unix.Read(fd, counter[:]); err != nil { // waits for the receiver
			return err
		}
		fmt.Println("told", counter[0])
		return nil
	},
	"send none": func(ctx context.Context, name string) error { return sendPacket(ctx, name, "x", nil) },
	"send two":  func(ctx context.Context, name string) error { return sendPacket(ctx, name, "x", []int{0, 0}) },
	"send long": func(ctx context.Context, name string) error { return sendPacket(ctx, name, "xx", []int{0}) },
	"hang": func(ctx context.Context, name string) error {
		c, err := dialWhenThere(ctx, name)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		_, _, err = c.Receive(ctx, make([]byte, 1), nil, nil)
		fmt.Println(err)
		return c.Close()
	},
	// It sends a descriptor, and says what becomes of the connection.
	"visit": func(ctx context.Context, name string) error {
		c, err := dialWhenThere(ctx, name)
		if err != nil {
			return err
		}
		sent := c.Send(ctx, []byte("x"), []int{0})
		_, _, err = c.Receive(ctx, make([]byte, 1), nil, nil)
		fmt.Println(sent, err)
		return c.Close()
	},
	"dial": func(ctx context.Context, name string) error {
		c, err := fdpass.Dial(ctx, name)
		if err != nil {
			return err
		}
		return c.Close()
	},
	"receive": func(ctx context.Context, name string) error {
		fd, err := fdpass.ReceiveOne(ctx, name)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "passed")
		defer f.Close()
		_, err = io.Copy(os.Stdout, f)
		return err
	},
	"serve": func(ctx context.Context, name string) error {
		l, err := fdpass.Listen(ctx, name)
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Println("ready")
		c, err := l.Accept(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		payload, fds := make([]byte, 64), make([]int, 2)
		n, nfds, err := c.Receive(ctx, payload, fds, nil)
		if err != nil {
			return err
		}
		fmt.Printf("%s, %d descriptors\n", payload[:n], nfds)
		fdpass.CloseAll(fds[:nfds])
		return nil
	},
	"listen and die": func(ctx context.Context, name string) error {
		_, err := fdpass.Listen(ctx, name)
		return err
	},
}

func TestMain(m *testing.M) {
	if run := programs[os.Getenv(programVariable)]; run != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := run(ctx, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// program is one of programs, to be started. Its error output is the test's.
func program(what, name string) *exec.Cmd {
	// Not os.Executable: another user may not be let into its folder.
	cmd := exec.Command("/proc/self/exe", name)
	cmd.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, os.Environ()...) // it would sleep for a second
	cmd.Env = append(cmd.Env, programVariable+"="+what)
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a program. What it prints is complete after Wait.
func start(t *testing.T, what, name string) (cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	cmd, output = program(what, name), new(bytes.Buffer)
	cmd.Stdout = output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, output
}

// startReady starts a program that says when it is ready.
func startReady(t *testing.T, what, name string, attributes *syscall.SysProcAttr) (cmd *exec.Cmd, output *bufio.Reader) {
	t.Helper()
	cmd = program(what, name)
	cmd.SysProcAttr = attributes
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output = bufio.NewReader(stdout)
	if line, err := output.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s: %q, %v", what, line, err)
	}
	return cmd, output
}

// dialWhenThere is Dial that waits for a listener.
func dialWhenThere(ctx context.Context, name string) (*fdpass.Conn, error) {
	for {
		c, err := fdpass.Dial(ctx, name)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ECONNREFUSED) {
			return c, err
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func sendPacket(ctx context.Context, name, payload string, fds []int) error {
	c, err := dialWhenThere(ctx, name)
	if err != nil {
		return err
	}
	return errors.Join(c.Send(ctx, []byte(payload), fds), c.Close())
}

// folder returns a new folder with a short path, that any user may enter.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fdpass")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// meetingPlace is folder for an example.
func meetingPlace() (path string, leave func()) {
	dir, err := os.MkdirTemp("", "fdpass")
	if err != nil {
		log.Fatal(err)
	}
	return dir + "/meet.sock", func() { os.RemoveAll(dir) }
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// nobody is the uid and gid of a user who is not this one.
const nobody = 65534

func asNobody(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a program as another user")
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// abstractName returns one that no other test uses.
func abstractName(t testing.TB) string {
	return fmt.Sprintf("@fdpass/%d/%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "."))
}
