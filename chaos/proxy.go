package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A proxy is a connection between the program and its store that can be slowed
// and closed. It is a Toxiproxy.
type proxy struct {
	*toxiproxy.Proxy
	slowed bool
}

// newProxy listens on a free port of loopback.
func newProxy(upstream string) (*proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{Proxy: toxiproxy.NewProxy(server, "store", "127.0.0.1:0", upstream)}
	return p, p.Start()
}

// latency delays the responses of the store by d, which may be zero.
func (p *proxy) latency(d time.Duration) error {
	if p.slowed {
		if err := p.Toxics.RemoveToxic(context.Background(), "latency"); err != nil {
			return err
		}
		p.slowed = false
	}
	if d == 0 {
		return nil
	}
	_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":"latency","type":"latency","stream":"downstream","attributes":{"latency":%d}}`, d.Milliseconds())))
	p.slowed = err == nil
	return err
}

// cut closes all connections; new ones succeed.
func (p *proxy) cut() error {
	p.Stop()
	return p.Start()
}

// slow delays the store randomly by up to maxDelay until ctx ends, and closes its
// connections from time to time.
func (p *proxy) slow(ctx context.Context, r *rand.Rand, maxDelay time.Duration) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := p.latency(time.Duration(r.Int64N(int64(maxDelay)))); err != nil {
			return err
		}
		if n%7 == 6 {
			if err := p.cut(); err != nil {
				return err
			}
		}
		sleep(ctx, time.Second+time.Duration(r.Int64N(int64(2*time.Second))))
	}
	return p.latency(0)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
