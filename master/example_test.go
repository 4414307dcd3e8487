package master_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/usher-go/usher/master"
)

// A program that serves with two workers until it is told to end, by a signal or by
// its context.
func ExampleRun() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	err := master.Run(ctx, master.Config{
		Listen:       []string{"127.0.0.1:8888", "unix:///run/echo.sock"},
		Program:      []string{"./worker", "--verbose"},
		Workers:      2,
		DrainTimeout: 30 * time.Second,
		Started: func(status master.Status) {
			for _, l := range status.Listeners {
				fmt.Fprintln(os.Stderr, "serving on", l.Address)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}

// What is wrong with a configuration is known before anything is started.
func ExampleRun_refused() {
	err := master.Run(context.Background(), master.Config{Listen: []string{"127.0.0.1:0"}, Workers: 2})
	fmt.Println(errors.Is(err, master.ErrConfig))
	fmt.Println(err)
	// Output:
	// true
	// configuration: program is empty, want a program for the workers
}

// A configuration can be checked without starting anything; which setting is wrong, a
// program may tell in words of its own.
func ExampleConfig_Check() {
	config := master.Config{Listen: []string{"127.0.0.1:8888", "unix:///run/echo.sock"}, Program: []string{"./worker"}, Workers: 2}
	fmt.Println(config.Check())

	config.Listen = append(config.Listen, "unix:/run/echo.sock")
	err := config.Check()
	fmt.Println(err)
	var wrong *master.ConfigError
	fmt.Println(errors.As(err, &wrong) && wrong.Key == "listen")
	// Output:
	// <nil>
	// configuration: listen address "unix:/run/echo.sock": want HOST:PORT, or unix:// before the path of a Unix socket: unix:///run/app.sock
	// true
}
