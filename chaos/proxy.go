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
// and cut. It is Toxiproxy's.
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

// latency delays each answer of the store by d; zero is as it was.
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

// cut drops all connections; the next ones go through.
func (p *proxy) cut() error {
	p.Stop()
	return p.Start()
}

// slow makes the store as slow as chance has it, up to most, until ctx ends,
// and now and then drops its connections.
func (p *proxy) slow(ctx context.Context, r *rand.Rand, most time.Duration) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := p.latency(time.Duration(r.Int64N(int64(most)))); err != nil {
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

// sleep waits, or less when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
