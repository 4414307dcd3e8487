package main

// plain compares plain traffic with that of another build, from before what a chapter is about.
func (b *bench) plain() error {
	if b.also == nil {
		b.say("without --also there is nothing to compare with")
		return nil
	}
	for _, c := range []echoCase{
		{"plain echo, 64 B, 50 connections: CPU per echo, one core", "≤ 1.01", []string{"--conns=50"}},
		{"plain connect, echo, close: CPU per connection, one core", "≤ 1.01", []string{"--conns=100", "--churn"}},
	} {
		instances, err := b.runAll([]*server{b.also, usher}, 1, oneCore)
		if err == nil {
			err = b.plainOf(c, instances)
		}
		endAll(instances)
		if err != nil {
			return err
		}
	}
	return nil
}

// plainOf takes three times as many slices as elsewhere: a percent is to be told.
func (b *bench) plainOf(c echoCase, instances []*instance) error {
	all, err := b.inTurn(instances, 3*b.rounds, func(i *instance) (sample, error) {
		return b.one(i, oneCore, append(c.args, "--duration", b.slice.String())...)
	})
	if err != nil {
		return err
	}
	b.reached(c.name+", to the build before", c.aim, ratios(all[1], all[0], perAnswer).String())
	return nil
}
