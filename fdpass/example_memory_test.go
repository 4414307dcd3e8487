package fdpass_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/usher-go/usher/fdpass"
)

// What is too long for a payload travels as a descriptor, and its reader need not trust
// who has sent it.
func ExampleSeal() {
	fd, err := fdpass.Seal("letter", []byte("a long letter"))
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{fd})
	// The descriptor is passed by Sender.Send; in the other process:
	letter, err := fdpass.ReadSealed(fd, 1<<20)
	fmt.Printf("%s %v\n", letter, err)
	_, err = fdpass.ReadSealed(fd, 5)
	fmt.Println(errors.Is(err, fdpass.ErrTooLong))

	pipe, other, err := os.Pipe() // which could make its reader wait for ever
	if err != nil {
		log.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	_, err = fdpass.ReadSealed(int(pipe.Fd()), 1<<20)
	fmt.Println(errors.Is(err, fdpass.ErrNotMemfd))
	// Output:
	// a long letter <nil>
	// true
	// true
}
