package clinic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/serverurl/serverurl/core"
)

// ask posts in to another system, and reads its answer into out.
func ask(ctx context.Context, url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	inv, _ := core.InvocationFromContext(ctx)
	req.Header.Set("Idempotency-Key", inv.IdempotencyKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// isRefused reports whether a request was certainly not received.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
