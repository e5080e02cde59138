//go:build tools

// Package tools pins the version of gocryptfs that G8OS ships.
package tools

import _ "github.com/rfjakob/gocryptfs/v2"
