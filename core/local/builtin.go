package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/g8os/g8os/core/api"
)

// How a builtin ended comes behind its answer.
const (
	trailerCode  = "G8os-Code"
	trailerError = "G8os-Error"
)

// maxArgs bounds the arguments of a builtin, in bytes.
const maxArgs = 1 << 20

func builtin(w http.ResponseWriter, r *http.Request, do func(context.Context, api.Builtin, json.RawMessage, io.Writer) (int, error)) {
	args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArgs))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", trailerCode+", "+trailerError)
	w.Header().Set("Content-Type", "application/x-ndjson")
	code, err := do(r.Context(), api.Builtin(r.PathValue("name")), args, flushed{w})
	w.Header().Set(trailerCode, strconv.Itoa(code))
	if err != nil {
		w.Header().Set(trailerError, strconv.Quote(err.Error()))
	}
}

// flushed sends what is written at once.
type flushed struct{ http.ResponseWriter }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// BuiltinError is the refusal or failure of a builtin.
type BuiltinError struct {
	Code int
	Text string
}

func (e BuiltinError) Error() string { return e.Text }

// Builtin has the running g8os_core do something, as an operator could over an
// AC. Its answer is written to out as it comes. Errors are BuiltinError where
// g8os_core would not or could not.
func (c Client) Builtin(ctx context.Context, name api.Builtin, args any, out io.Writer) error {
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	resp, err := c.send(ctx, http.MethodPost, "/builtin/"+string(name), bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: g8os_core answers %s", name, resp.Status)
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	code, err := strconv.Atoi(resp.Trailer.Get(trailerCode))
	if err != nil {
		return fmt.Errorf("%s: g8os_core has ended meanwhile", name)
	}
	if quoted := resp.Trailer.Get(trailerError); quoted != "" {
		text, _ := strconv.Unquote(quoted)
		return BuiltinError{code, text}
	}
	return nil
}

// Shutdown ends all services in order, and returns when they have ended.
func (c Client) Shutdown(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodPost, "/shutdown")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("end jobs and services: %s", bytes.TrimSpace(why))
	}
	return nil
}
