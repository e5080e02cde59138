package dispatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// ErrFrame is wrapped by every reason for which a message is not a frame that
// a node may send.
var ErrFrame = errors.New("not a frame of a node")

const maxJobID = 64

// DecodeFrame reads a message of a node. What it returns is safe to step the
// machines with: the type is one a node may send, numbers and names are in
// their bounds.
func DecodeFrame(message []byte) (api.Frame, error) {
	var f api.Frame
	if len(message) > api.MaxFrame {
		return f, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrFrame, len(message), api.MaxFrame)
	}
	if err := json.Unmarshal(message, &f); err != nil {
		return f, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return checked(f)
}

// DecodeBinary reads a binary message of a node that is no WireMux one, as
// DecodeFrame does. The frame's Data is a part of message.
func DecodeBinary(message []byte) (api.Frame, error) {
	f, err := api.ParseOutput(message)
	if err != nil {
		return f, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return checked(f)
}

func checked(f api.Frame) (api.Frame, error) {
	switch f.Type {
	case api.FrameHeartbeat:
		return f, nil
	case api.FrameRotate:
		if f.Rotate == nil {
			return f, fmt.Errorf("%w: an answer to a rotation that names none", ErrFrame)
		}
		return f, nil
	case api.FrameOutput:
		if f.Stream != "stdout" && f.Stream != "stderr" {
			return f, fmt.Errorf("%w: output on stream %q, want stdout or stderr", ErrFrame, f.Stream)
		}
		return f, jobFrame(f)
	case api.FrameExit:
		return f, jobFrame(f)
	case api.FrameStarted:
		if err := CheckJobID(f.Job); err != nil {
			return f, fmt.Errorf("%w: %w", ErrFrame, err)
		}
		return f, nil
	case api.FrameEvent:
		if f.Event == nil || f.Seq == 0 {
			return f, fmt.Errorf("%w: an event without a number or without anything in it", ErrFrame)
		}
		return f, nil
	case api.FrameMetrics:
		if f.Metrics == nil {
			return f, fmt.Errorf("%w: metrics without any", ErrFrame)
		}
		return f, nil
	}
	return f, fmt.Errorf("%w: type %q is not a node's to send", ErrFrame, f.Type)
}

func jobFrame(f api.Frame) error {
	if err := CheckJobID(f.Job); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if f.Seq == 0 {
		return fmt.Errorf("%w: %s of job %s without a number", ErrFrame, f.Type, f.Job)
	}
	return nil
}

// CheckJobID says whether a job id is 1 to 64 letters, digits, dots, dashes
// and underscores, and not of dots only: nodes name folders after it.
func CheckJobID(id string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	if id == "" || len(id) > maxJobID || strings.Trim(id, allowed) != "" || strings.Trim(id, ".") == "" {
		return fmt.Errorf("job id %.80q: want 1 to %d letters, digits, '.', '-' and '_', not of '.' only", id, maxJobID)
	}
	return nil
}
