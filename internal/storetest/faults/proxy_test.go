package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// proxy stands between pgx and the server, and does to one statement what a network may do. It speaks as much of the
// protocol as it needs to tell where a request ends, with Sync, and where its answer ends, with ReadyForQuery. It
// passes on one and then the other, each as a whole: pgx sends nothing before it has the answer.
type proxy struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	serving  sync.WaitGroup

	random func() (f fault, hits bool) // if not nil: what happens to each request, instead of fault

	mu    sync.Mutex
	fault *fault
	conns map[net.Conn]bool
}

// fault is what happens to the next request that runs a statement.
type fault struct {
	statement string  // its name in queries/
	skip      int     // so many such requests pass first
	prepare   bool    // it hits the request that prepares the statement, not the one that runs it
	request   float64 // the part of the request that reaches the server
	answer    float64 // the part of the answer that reaches the client
	mute      bool    // then nothing more happens, until heal; else both connections are closed

	taken  bool          // by a request
	hit    chan struct{} // closed when that has happened
	healed chan struct{}
}

// newProxy starts a proxy in front of the server of that URL. It ends with the test.
func newProxy(t *testing.T, url string) *proxy {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{conns: make(map[net.Conn]bool)}
	kind, address := pgconn.NetworkAddress(config.Host, config.Port)
	p.dial = func() (net.Conn, error) { return net.Dial(kind, address) }
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.serving.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.heal()
		p.cutAll()
		p.serving.Wait()
	})
	return p
}

// through makes a pool connect through the proxy, without TLS, which the proxy could not read.
func (p *proxy) through(c *pgxpool.Config) {
	c.ConnConfig.TLSConfig, c.ConnConfig.Fallbacks = nil, nil
	c.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.listener.Addr().String())
	}
}

// next makes f happen once.
func (p *proxy) next(f fault) *fault {
	f.hit, f.healed = make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = &f
	return &f
}

// take returns the fault that is to happen to a request, or nil.
func (p *proxy) take(r request) *fault {
	if p.random != nil {
		f, hits := p.random()
		if !hits {
			return nil
		}
		f.hit = make(chan struct{})
		return &f
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.fault
	if f == nil || f.taken || r.statement != f.statement || r.runs == f.prepare {
		return nil
	}
	f.skip--
	if f.taken = f.skip < 0; !f.taken {
		return nil
	}
	return f
}

func (f *fault) done() bool {
	select {
	case <-f.hit:
		return true
	default:
		return false
	}
}

// heal ends a fault: what is mute is closed.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != nil {
		close(p.fault.healed)
		p.fault = nil
	}
}

// cutAll closes all connections.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() {
			defer p.keep(client)()
			server, err := p.dial()
			if err != nil {
				return
			}
			defer p.keep(server)()
			c := &conversation{
				proxy: p, client: client, server: server,
				said: bufio.NewReader(server), asked: bufio.NewReader(client),
			}
			_ = c.run() // an error says only that the client or the server has gone
		})
	}
}

// keep notes conn, and returns the function that closes it.
func (p *proxy) keep(conn net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
		_ = conn.Close()
	}
}

// conversation is one connection of a client, together with the proxy's connection to the server that belongs to it.
type conversation struct {
	*proxy

	client, server net.Conn
	asked, said    *bufio.Reader
	names          map[string]string // of the statements' texts in queries/, by the name under which they are prepared
}

// request is what a client sends up to Sync.
type request struct {
	bytes     []byte
	statement string // the name in queries/
	runs      bool   // it is executed, not just prepared
}

func (c *conversation) run() error {
	c.names = make(map[string]string)
	if goOn, err := c.logIn(); err != nil || !goOn {
		return err
	}
	for {
		r, err := c.request()
		if err != nil {
			return err
		}
		f := c.take(r)
		if f == nil {
			if err := c.pass(r); err != nil {
				return err
			}
			continue
		}
		return c.suffer(f, r)
	}
}

// logIn passes on everything until the server is ready. If the client only asks to cancel a statement, nothing follows.
func (c *conversation) logIn() (goOn bool, err error) {
	length, err := c.asked.Peek(8)
	if err != nil {
		return false, err
	}
	if _, err := io.CopyN(c.server, c.asked, int64(binary.BigEndian.Uint32(length))); err != nil {
		return false, err
	}
	const cancelRequest = 80877102
	if binary.BigEndian.Uint32(length[4:]) == cancelRequest {
		_, err := io.Copy(c.client, c.said)
		return false, err
	}
	for {
		m, err := message(c.said)
		if err == nil {
			_, err = c.client.Write(m)
		}
		switch {
		case err != nil:
			return false, err
		case m[0] == 'Z':
			return true, nil
		case m[0] == 'R' && bytes.IndexByte([]byte{3, 5, 10, 11}, m[8]) >= 0: // it wants a password, or more of SASL
			answer, err := message(c.asked)
			if err != nil {
				return false, err
			}
			if _, err := c.server.Write(answer); err != nil {
				return false, err
			}
		}
	}
}

var nameOf = regexp.MustCompile(`^-- name: (\w+) :`)

// request reads the client's next request.
func (c *conversation) request() (r request, err error) {
	for {
		m, err := message(c.asked)
		if err != nil {
			return r, err
		}
		r.bytes = append(r.bytes, m...)
		text := bytes.Split(m[5:], []byte{0})
		switch m[0] {
		case 'P': // Parse: the name under which it is prepared, and the text
			c.names[string(text[0])] = ""
			if name := nameOf.FindSubmatch(text[1]); name != nil {
				c.names[string(text[0])] = string(name[1])
			}
			r.statement = c.names[string(text[0])]
		case 'B': // Bind: a portal, and the name of what was prepared
			r.statement = c.names[string(text[1])]
		case 'E': // Execute
			r.runs = true
		case 'S', 'Q', 'X': // Sync, Query, Terminate
			return r, nil
		}
	}
}

// pass passes on a request and its answer.
func (c *conversation) pass(r request) error {
	if _, err := c.server.Write(r.bytes); err != nil {
		return err
	}
	answer, err := c.answer()
	if _, err := c.client.Write(answer); err != nil {
		return err
	}
	return err
}

// answer reads what the server says until it is ready, or has gone.
func (c *conversation) answer() (all []byte, err error) {
	for {
		m, err := message(c.said)
		if all = append(all, m...); err != nil || m[0] == 'Z' {
			return all, err
		}
	}
}

// suffer makes f happen to a request.
func (c *conversation) suffer(f *fault, r request) error {
	_, err := c.server.Write(part(r.bytes, f.request))
	var answer []byte
	if f.request == 1 {
		if answer, err = c.answer(); err == nil {
			_, err = c.client.Write(part(answer, f.answer))
		}
	}
	close(f.hit)
	if f.mute {
		<-f.healed
	}
	return err
}

// part returns the first part of b: all of it where f is 1, half of it where f is 0.5.
func part(b []byte, f float64) []byte { return b[:int(float64(len(b))*f)] }

// message reads one message of the protocol: a byte that says what it is, its length, and the rest.
func message(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(5)
	if err != nil {
		return nil, err
	}
	m := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(r, m)
	return m, err
}
