package taskwork

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
)

// network stands between workers and the server.
type network struct {
	listener net.Listener
	dial     func() (net.Conn, error)

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool          // it closes what connects
	lose  string        // the next request with these words gets no answer: its connection is closed instead
	mute  chan struct{} // closed when it passes on what is said; nil: it does
	hush  string        // it goes mute at the next request with these words
	muted chan struct{} // closed then
}

// newNetwork puts a network in front of b's server, and returns a pool that goes through it.
func newNetwork(t *testing.T, b *storetest.Bundle) (*network, *pgxpool.Pool) {
	t.Helper()
	server, err := pgx.ParseConfig(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	kind, address := pgconn.NetworkAddress(server.Host, server.Port)
	n := &network{conns: make(map[net.Conn]bool), dial: func() (net.Conn, error) { return net.Dial(kind, address) }}
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := n.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.serve(client) })
		}
	})
	pool := b.Connect(t, func(c *pgxpool.Config) {
		c.MaxConns = 20
		c.ConnConfig.TLSConfig, c.ConnConfig.Fallbacks = nil, nil
		c.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", n.listener.Addr().String())
		}
	})
	t.Cleanup(func() { // before the pool's
		_ = n.listener.Close()
		n.set(true, false)
		serving.Wait()
	})
	return n, pool
}

func (n *network) serve(client net.Conn) {
	server, err := n.dial()
	if err != nil {
		_ = client.Close()
		return
	}
	n.mu.Lock()
	n.conns[client], n.conns[server] = true, true
	if n.down {
		n.cut()
	}
	n.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { n.pass(server, client) })
	both.Go(func() { n.pass(client, server) })
	both.Wait()
}

// pass passes on what from says to to, until one of them has gone.
func (n *network) pass(to, from net.Conn) {
	said := make([]byte, 32<<10)
	for {
		size, err := from.Read(said)
		n.mu.Lock()
		if n.hush != "" && bytes.Contains(said[:size], []byte(n.hush)) {
			n.hush, n.mute = "", make(chan struct{})
			close(n.muted)
		}
		mute := n.mute
		if n.lose != "" && bytes.Contains(said[:size], []byte(n.lose)) {
			n.lose = ""
			_ = from.Close() // it still reaches the server
		}
		n.mu.Unlock()
		if mute != nil {
			<-mute
		}
		if err == nil {
			_, err = to.Write(said[:size])
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			return
		}
	}
}

// set makes the network refuse everything, or pass nothing on, or work.
func (n *network) set(down, mute bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down = down; down {
		n.cut()
	}
	switch {
	case mute && n.mute == nil:
		n.mute = make(chan struct{})
	case !mute && n.mute != nil:
		close(n.mute)
		n.mute = nil
	}
}

// loseAnswerTo has the next request with these words reach the server, and no answer come back.
func (n *network) loseAnswerTo(words string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = words
}

// muteAt has the network go mute at the next request with these words, and returns a channel that is closed then.
func (n *network) muteAt(words string) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hush, n.muted = words, make(chan struct{})
	return n.muted
}

// cut closes all connections. The caller has the lock.
func (n *network) cut() {
	for conn := range n.conns {
		_ = conn.Close()
		delete(n.conns, conn)
	}
}
