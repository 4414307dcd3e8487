package master

// listenerSocket is what a listener's path is to be free for.
var listenerSocket = socketOwner{"process", "choose another path with --listen"}

func listenUnix(address Address) (*listener, error) {
	fd, file, err := bindSocket(address.Path, address.Mode, listenerSocket)
	if err != nil {
		return nil, err
	}
	l, err := startListening(fd)
	if err != nil {
		file.remove()
		return nil, err
	}
	l.file = file
	return l, nil
}
