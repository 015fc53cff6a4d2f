package main

import (
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// behind returns the URL of the same database at a distance: each byte takes d longer each way. What is on its way does
// not hold up what comes after it, so that the throughput stays as it is. Connections end with their peers, and stop
// ends the listening.
func behind(from string, d time.Duration) (to string, stop func() error, err error) {
	config, err := pgconn.ParseConfig(from)
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(from)
	if err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends by stop
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // it was stopped
			}
			network, address := pgconn.NetworkAddress(config.Host, config.Port)
			server, err := net.Dial(network, address) //nolint:noctx // as above
			if err != nil {
				_ = client.Close() // which the client reports
				continue
			}
			go carry(server, client, d)
			go carry(client, server, d)
		}
	}()
	query := u.Query()
	query.Set("host", "127.0.0.1")
	query.Set("port", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)) //nolint:forcetypeassert // a TCP listener's
	u.Host, u.RawQuery = "", query.Encode()
	return u.String(), listener.Close, nil
}

// parcel is what arrived at once, and when it is to be delivered.
type parcel struct {
	data []byte
	due  time.Time
}

// carry passes on each byte d after it has arrived, and then the end.
func carry(to, from net.Conn, d time.Duration) {
	way := make(chan parcel, 1<<12)
	go func() {
		defer close(way)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if n > 0 {
				way <- parcel{data[:n], time.Now().Add(d)}
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() { _ = to.Close() }()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			_ = from.Close()
			for range way { // has no destination any more
			}
			return
		}
	}
}
