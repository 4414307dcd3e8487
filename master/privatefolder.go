package master

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// privateFolder makes a folder of mode 0700, or finds that there is one which is
// this user's alone. It is for folders in places that others may write to: what
// another user put there first is refused.
func privateFolder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symlink, want a folder: whoever made it decides where it leads", path)
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case int(owner) != os.Geteuid():
		return fmt.Errorf("the folder %s is of user %d, not of this one, %d", path, owner, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may use the folder %s, which has mode %04o; chmod it to 0700", path, info.Mode().Perm())
	}
	return nil
}
