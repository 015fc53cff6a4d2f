//go:build unix

package failover

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// network is a proxy that can go mute: it accepts everything, passes nothing on and closes nothing.
type network struct {
	listener net.Listener
	to       string // the server's socket
	mu       sync.Mutex
	speaks   chan struct{} // closed while it speaks
	conns    []net.Conn
}

func startNetwork(t *testing.T, server *node) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: listener, to: server.dir + "/.s.PGSQL." + server.port, speaks: make(chan struct{})}
	close(n.speaks)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			n.keep(client)
			serving.Go(func() { n.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		n.mu.Lock()
		for _, c := range n.conns {
			_ = c.Close()
		}
		n.mu.Unlock()
		serving.Wait()
	})
	return n
}

func (n *network) keep(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
}

func (n *network) serve(client net.Conn) {
	n.wait()
	server, err := net.Dial("unix", n.to)
	if err != nil {
		_ = client.Close()
		return
	}
	n.keep(server)
	var back sync.WaitGroup
	back.Go(func() {
		n.pass(client, server)
		_ = client.Close()
	})
	n.pass(server, client)
	_ = server.Close()
	back.Wait()
}

// pass passes on what comes from one side while the network speaks.
func (n *network) pass(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		read, err := from.Read(buf)
		n.wait()
		if read > 0 {
			if _, err := to.Write(buf[:read]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (n *network) wait() {
	n.mu.Lock()
	speaks := n.speaks
	n.mu.Unlock()
	<-speaks
}

// mute makes the network mute until the function that it returns is called.
func (n *network) mute() (speak func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	speaks := make(chan struct{})
	n.speaks = speaks
	return sync.OnceFunc(func() { close(speaks) })
}

// connect opens a pool through the network.
func (n *network) connect(t *testing.T, server *node, conns int32) *pgxpool.Pool {
	t.Helper()
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", server.password), Host: n.listener.Addr().String(),
		Path: "/postgres", RawQuery: "sslmode=disable&connect_timeout=2"}
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = conns
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}
