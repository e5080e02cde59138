package record

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestAlone counts in a file, by reading it and writing it again.
func TestAlone(t *testing.T) {
	r := scratch(t)
	if err := r.Alone("count", func() error { return nil }); err == nil {
		t.Error("alone with a lab that is not there")
	}
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.Run, "count")
	if err := os.WriteFile(file, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	const each, workers = 50, 4
	var g sync.WaitGroup
	for range workers {
		g.Go(func() {
			for range each {
				err := r.Alone("count", func() error {
					text, err := os.ReadFile(file)
					if err != nil {
						return err
					}
					n, err := strconv.Atoi(string(text))
					if err != nil {
						return err
					}
					return os.WriteFile(file, []byte(strconv.Itoa(n+1)), 0o600)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	if text, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(each*workers) {
		t.Errorf("counted to %s, %v; want %d", text, err, each*workers)
	}
}
