package poller_test

import (
	"fmt"
	"log"

	"github.com/usher-go/usher/internal/poller"
)

func Example() {
	const wakerTag = 1
	set, waker, err := poller.NewWithWaker(wakerTag)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	defer waker.Close()

	go waker.Wake()

	events := make([]poller.Event, 64)
	n, err := set.Wait(events, -1)
	if err != nil {
		log.Fatal(err)
	}
	for _, event := range events[:n] {
		if event.Tag() == wakerTag {
			waker.Clear() // first, then look at what was published
			fmt.Println("woken")
		}
	}
	// Output: woken
}
