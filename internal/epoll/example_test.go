package epoll_test

import (
	"fmt"
	"log"

	"github.com/usher-go/usher/internal/epoll"
)

func Example() {
	set, err := epoll.New()
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	const wakerTag = 1
	waker, err := epoll.NewWaker(set, wakerTag)
	if err != nil {
		log.Fatal(err)
	}
	defer waker.Close()

	go waker.Wake()

	events := make([]epoll.Event, 64)
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
