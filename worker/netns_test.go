package worker_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inNamespace runs a helper in a network of its own, where the kernel dials from
// the ports of that range alone, and returns what it prints. A system on which an
// ordinary user cannot have one skips the test.
func inNamespace(t *testing.T, helper, ports string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVariable+"="+helper, portsVariable+"="+ports)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) || strings.Contains(string(out), noNamespace) {
		t.Skipf("no network namespace here: %v %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

const (
	portsVariable = "WORKER_TEST_PORTS"
	noNamespace   = "this namespace cannot be set up"
)

// settleNamespace is for the helper: its loopback interface comes up, and its
// ports are those asked for.
func settleNamespace() {
	if err := loopbackUp(); err != nil {
		fmt.Println(noNamespace, err)
		os.Exit(0)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(os.Getenv(portsVariable)), 0); err != nil {
		fmt.Println(noNamespace, err)
		os.Exit(0)
	}
}

// loopbackUp is SIOCSIFFLAGS of netdevice(7).
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(request))); errno != 0 {
		return errno
	}
	return nil
}
