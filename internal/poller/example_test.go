package poller_test

import (
	"fmt"
	"log"

	"github.com/usher-go/usher/internal/poller"
)

func Example() {
	set, err := poller.New()
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	const wakerTag = 1
	waker, err := poller.NewWaker(set, wakerTag)
	if err != nil {
		log.Fatal(err)
	}
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
