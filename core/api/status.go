package api

import (
	"errors"
	"time"
)

// ErrRefused is wrapped by the error a node gets when the AC refuses (403,
// Refusal). It says nothing about why, on purpose.
var ErrRefused = errors.New("refused by the AC")

// Status is what a node says of itself, on its console, its local socket
// (GET /status on /var/run/core.sock) and in g8os_core status -o json.
type Status struct {
	Hostname       string    `json:"hostname"`
	MAC            string    `json:"mac"` // of the interface in use, else of the first physical one
	NodeID         NodeID    `json:"node_id"`
	Fingerprint    string    `json:"fingerprint"` // of the device key: what an operator compares before approving
	Phase          string    `json:"phase"`       // network | unlock | secure | ssh | sandbox | managed
	WaitsFor       string    `json:"waits_for"`   // empty when managed
	Since          time.Time `json:"since"`       // since when it waits for that, or is managed
	Way            string    `json:"way"`         // configured | dhcp | fallback | "" before an AC was found
	Interface      string    `json:"interface"`
	Address        string    `json:"address"` // with prefix length
	Controller     string    `json:"controller"`
	ManagedAfterMS int64     `json:"managed_after_ms"` // start of g8os_core → first time managed; 0 before
	Round          int       `json:"round"`            // how many network rounds have begun
	LastError      string    `json:"last_error"`
	Warnings       []string  `json:"warnings"`           // problems that do not stop the boot: net.toml lines, address conflicts, faults armed at the AC
	Services       []string  `json:"services,omitempty"` // that fail: a line each
	PID            int       `json:"pid"`
	Version        string    `json:"version"`
}
