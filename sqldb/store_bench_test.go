package sqldb

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// benchEngines wait for the disk, as a deployed store does.
var benchEngines = []storeEngine{
	{"SQLite", func(t testing.TB) string { return "sqlite " + filepath.Join(t.TempDir(), "x.db") }},
	{"Postgres", func(t testing.TB) string { return "pgx " + pgtest.New(t, nil).Database(t) }},
}

func benchmarkCommit(b *testing.B, recs int) {
	value := bytes.Repeat([]byte("v"), 2000)
	for _, e := range benchEngines {
		b.Run(e.name, func(b *testing.B) {
			s := openStore(b, e.fresh(b))
			n := 0
			for b.Loop() {
				n++
				rs := make([]records.Record, recs)
				for i := range rs {
					rs[i] = records.Record{Key: fmt.Sprintf("d/%d-%d", n, i), Value: value}
				}
				if err := s.Commit(b.Context(), rs...); err != nil {
					b.Fatal(cause(err))
				}
			}
		})
	}
}

func BenchmarkCommit1(b *testing.B) { benchmarkCommit(b, 1) }
func BenchmarkCommit3(b *testing.B) { benchmarkCommit(b, 3) }

func BenchmarkCommit1Parallel(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 2000)
	for _, e := range benchEngines {
		b.Run(e.name, func(b *testing.B) {
			s := openStore(b, e.fresh(b))
			var n atomic.Int64
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Commit(b.Context(), records.Record{Key: fmt.Sprintf("d/%d", n.Add(1)), Value: value}); err != nil {
						b.Fatal(cause(err))
					}
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{2000, records.MaxRecordBytes} {
		for _, e := range benchEngines {
			b.Run(fmt.Sprintf("%s/%d", e.name, size), func(b *testing.B) {
				s := openStore(b, e.fresh(b))
				if err := s.Commit(b.Context(), records.Record{Key: "d/a", Value: bytes.Repeat([]byte("v"), size)}); err != nil {
					b.Fatal(cause(err))
				}
				for b.Loop() {
					if _, err := s.Get(b.Context(), "d/a"); err != nil {
						b.Fatal(cause(err))
					}
				}
			})
		}
	}
}
