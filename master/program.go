package master

import "github.com/usher-go/usher/master/internal/child"

// ProgramPath returns where Program is, or why it cannot be started, as far as that can be
// told without starting it: that there is no such file, that it is not executable, not for
// this machine, or without its interpreter. It may block as long as a file system does.
func (c Config) ProgramPath() (string, error) {
	return child.CheckProgram(child.ProgramSettings{Argv: c.Program, Directory: c.Directory})
}

// openProgram finds a configuration's program. It may block as long as a file system
// does.
func openProgram(c *Config) (*child.Program, error) {
	p, err := child.OpenProgram(child.ProgramSettings{Argv: c.Program, Directory: c.Directory, Given: c.ProgramGiven})
	if err != nil {
		return nil, &ConfigError{Key: "directory", Problem: err.Error()}
	}
	return p, nil
}

// closePrograms closes the programs that no worker will be started from any more.
func (s *supervisor) closePrograms() {
	for generation, p := range s.programs {
		if generation != s.generation && generation != s.newest() && len(s.ofGeneration(generation)) == 0 {
			p.Close()
			delete(s.programs, generation)
		}
	}
}

// ofGeneration returns all slots of a generation.
func (s *supervisor) ofGeneration(generation int) (slots []*slot) {
	for slot := range s.slots.all() {
		if slot.generation == generation {
			slots = append(slots, slot)
		}
	}
	return slots
}

// setProgram takes ownership of a generation's program. A reload that failed may have left
// one, since the next reload has the same number.
func (s *supervisor) setProgram(generation int, p *child.Program) {
	if before := s.programs[generation]; before != nil {
		before.Close()
	}
	s.programs[generation] = p
}
