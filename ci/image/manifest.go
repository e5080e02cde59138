package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// A Manifest says what a build made, and of what.
type Manifest struct {
	ID        string            `json:"id"`      // of the image: in image.json and tools.json too
	Version   string            `json:"version"` // of g8os
	Built     string            `json:"built"`   // time of the commit, seconds since 1970
	Resolved  string            `json:"packages_resolved"`
	Artefacts []Artefact        `json:"artefacts"`
	Packages  []Pinned          `json:"packages"`
	BuiltWith map[string]string `json:"built_with"` // programs whose version may change the bytes
}

// An Artefact is one file that was made.
type Artefact struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Pinned is a package that went in.
type Pinned struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// manifest writes manifest.json of all that is in the stage and, with a key,
// manifest.json.sig and the public key it is checked with.
func (b *Build) manifest(ctx context.Context, stage string) error {
	m := Manifest{ID: b.imageID(), Version: b.Version, Built: b.Built, Resolved: b.lock.Resolved.Format("2006-01-02T15:04:05Z07:00"), BuiltWith: builtWith(ctx)}
	files, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	for _, f := range files {
		sum, size, err := fileSum(filepath.Join(stage, f.Name()))
		if err != nil {
			return err
		}
		m.Artefacts = append(m.Artefacts, Artefact{f.Name(), size, sum})
	}
	for _, p := range b.lock.Packages {
		m.Packages = append(m.Packages, Pinned{p.Name, p.Version, p.SHA256})
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := os.WriteFile(filepath.Join(stage, "manifest.json"), text, 0o644); err != nil {
		return err
	}
	return b.signManifest(stage, text)
}

func (b *Build) signManifest(stage string, text []byte) error {
	if b.Grid.Key == "" {
		return nil
	}
	k, err := readKey(b.Grid.Key)
	if err != nil {
		return err
	}
	signature, err := k.signature(text)
	if err != nil {
		return err
	}
	public, err := k.public()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(stage, "manifest.json.sig"), signature, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(stage, "manifest.pub"), public, 0o644)
}

// builtWith asks the programs that shape the bytes for their versions.
func builtWith(ctx context.Context) map[string]string {
	with := map[string]string{"go": runtime.Version()}
	for name, flag := range map[string]string{"mksquashfs": "-version", "depmod": "--version", "mkfs.vfat": "--help", "mcopy": "--version", "sgdisk": "--version", "qemu-img": "--version"} {
		cmd := exec.CommandContext(ctx, name, flag)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		out, _ := cmd.CombinedOutput() // some fail when asked for help
		line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		with[name] = strings.TrimSpace(string(line))
	}
	return with
}
