package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstPassedFile is the number of the first file that a supervisor passes, by the
// convention of systemd's socket activation.
const firstPassedFile = 3

// activatedSocket returns the socket that a supervisor has opened for this
// process, or nil. The socket stays open between two processes: connections wait
// in its backlog, and none is refused.
func activatedSocket(getenv func(string) string) (net.Listener, error) {
	n, _ := strconv.Atoi(getenv("LISTEN_FDS"))
	if pid := getenv("LISTEN_PID"); n < 1 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	f := os.NewFile(firstPassedFile, "passed socket")
	defer f.Close() // the listener has a copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("server: LISTEN_FDS is set, and file %d is not a listening socket: %w", firstPassedFile, err)
	}
	return l, nil
}

// isLoopback reports whether only this machine can reach addr.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
