package tlsrecord

import (
	"slices"
	"testing"
)

// echoes looks that both ends still understand each other.
func echoes(t *testing.T, client, server *Layer) {
	t.Helper()
	if o := server.Open(client.Seal(nil, []byte("ping"))); string(o.Plain) != "ping" {
		t.Fatalf("%q, %v", o.Plain, o.Err)
	}
	if o := client.Open(server.Seal(nil, []byte("pong"))); string(o.Plain) != "pong" {
		t.Fatalf("%q, %v", o.Plain, o.Err)
	}
}

// check looks that a cache and its layers agree.
func (c *Cache) check(t *testing.T) {
	t.Helper()
	for i, held := range c.held {
		if held.place != i || held.owner == nil || held.owner.entry != held || held.owner.cache != c {
			t.Fatalf("entry %d is not its owner's", i)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	var cache Cache
	type ends struct{ client, server *Layer }
	var all []ends
	for range maxCached/2 + 100 {
		client, server := pair(t, suites[0].id)
		client.SetCache(&cache)
		server.SetCache(&cache)
		all = append(all, ends{client, server})
	}
	for range 2 {
		for _, e := range all {
			echoes(t, e.client, e.server)
			if len(cache.held) > maxCached {
				t.Fatalf("%d pairs are kept", len(cache.held))
			}
		}
	}
	if len(cache.held) != maxCached {
		t.Errorf("%d pairs are kept", len(cache.held))
	}
	cache.check(t)
}

func TestSweep(t *testing.T) {
	var cache Cache
	if left := cache.Sweep(); left != 0 {
		t.Errorf("an empty cache has %d", left)
	}
	busy, other := pair(t, suites[0].id)
	idle, third := pair(t, suites[0].id)
	for _, l := range []*Layer{busy, other, idle, third} {
		l.SetCache(&cache)
	}
	echoes(t, busy, other)
	echoes(t, idle, third)
	if left := cache.Sweep(); left != 4 {
		t.Errorf("right after use %d are left", left)
	}
	echoes(t, busy, other)
	if left := cache.Sweep(); left != 2 || idle.entry != nil || third.entry != nil || busy.entry == nil {
		t.Errorf("%d are left", left)
	}
	cache.check(t)
	if left := cache.Sweep(); left != 0 || cache.held != nil {
		t.Errorf("without use %d are left", left)
	}
	echoes(t, idle, third)
	echoes(t, busy, other)
	cache.check(t)
}

// A layer takes its ciphers along from one cache to another, or keeps them itself.
func TestSetCache(t *testing.T) {
	var one, two Cache
	client, server := pair(t, suites[0].id)
	echoes(t, client, server)
	has := client.entry
	for _, c := range []*Cache{&one, &two, nil, &one, &one} {
		client.SetCache(c)
		if client.entry != has {
			t.Fatal("the ciphers are others")
		}
		one.check(t)
		two.check(t)
		if slices.Contains(one.held, has) != (c == &one) || slices.Contains(two.held, has) != (c == &two) {
			t.Fatalf("%d in one cache, %d in the other", len(one.held), len(two.held))
		}
		echoes(t, client, server)
	}
	client.Wipe()
	if len(one.held) != 0 {
		t.Error("a wiped layer is still in its cache")
	}
}

// A layer goes on elsewhere, with the ciphers that it has, in a cache or not; where it was
// it is as if wiped.
func TestMove(t *testing.T) {
	for name, cache := range map[string]*Cache{"in a cache": new(Cache), "without": nil} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, suites[0].id)
			server.SetCache(cache)
			echoes(t, client, server)
			var there Layer
			ciphers := server.entry.ciphers
			server.Move(&there)
			if there.entry == nil || there.entry.ciphers != ciphers || there.entry.owner != &there {
				t.Error("the ciphers did not come along")
			}
			if server.Err() == nil || server.entry != nil || server.read != (half{}) || server.write != (half{}) {
				t.Error("something was left behind")
			}
			if cache != nil {
				cache.check(t)
			}
			echoes(t, client, &there)
			server.Wipe() // touches nothing of the other
			echoes(t, client, &there)
			there.Wipe()
			if cache != nil && len(cache.held) > 0 {
				t.Error("the cache still has it")
			}
		})
	}
}
