package links

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
)

const resolvHeader = "# Name servers by g8os_core; what was here before comes back when they go.\n"

// serve makes dns the name servers of an interface, and writes resolv.conf
// when that changes it.
func (l *Links) serve(link string, dns []netip.Addr) error {
	n := &l.record.Names
	n.serve(link, dns)
	if l.opts.ResolvConf == "" {
		return nil
	}
	now, err := readText(l.opts.ResolvConf)
	if err != nil {
		return fmt.Errorf("name servers: %w", err)
	}
	if len(n.Servers) == 0 {
		return l.restoreNames(now)
	}
	if !n.ours(now) { // the first time, or somebody else wrote it since
		n.Before, n.Wrote = now, nil
	}
	text := compose(n.Before, n.Servers)
	if now != nil && *now == text {
		return nil
	}
	n.Wrote = append(n.Wrote, text)
	if err := l.save(); err != nil {
		return err
	}
	if err := writeInPlace(l.opts.ResolvConf, text); err != nil {
		return fmt.Errorf("name servers: %w", err)
	}
	n.Wrote = []string{text}
	return nil
}

// serve replaces the servers of one interface, which keeps its place.
func (n *names) serve(link string, dns []netip.Addr) {
	at := slices.IndexFunc(n.Servers, func(s served) bool { return s.Link == link })
	switch {
	case len(dns) == 0 && at >= 0:
		n.Servers = slices.Delete(n.Servers, at, at+1)
	case len(dns) > 0 && at >= 0:
		n.Servers[at].DNS = slices.Clone(dns)
	case len(dns) > 0:
		n.Servers = append(n.Servers, served{Link: link, DNS: slices.Clone(dns)})
	}
}

// ours tells whether a text is one that we wrote, whole or cut short by the
// death of the writer.
func (n *names) ours(text *string) bool {
	if text == nil {
		return false
	}
	return slices.ContainsFunc(n.Wrote, func(w string) bool {
		return strings.TrimRight(*text, "\n") == strings.TrimRight(w, "\n") || strings.HasPrefix(w, *text)
	})
}

// restoreNames brings the text from before back, unless somebody else has
// written resolv.conf since.
func (l *Links) restoreNames(now *string) error {
	n := &l.record.Names
	if !n.ours(now) {
		n.Before, n.Wrote = nil, nil
		return nil
	}
	var err error
	if n.Before != nil {
		err = writeInPlace(l.opts.ResolvConf, *n.Before)
	} else if err = os.Remove(l.opts.ResolvConf); err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = writeInPlace(l.opts.ResolvConf, "") // a mount cannot be removed
	}
	if err != nil {
		return fmt.Errorf("restore the name servers: %w", err)
	}
	n.Before, n.Wrote = nil, nil
	return nil
}

// compose writes our servers over those of the text from before, whose search
// list and options stay.
func compose(before *string, servers []served) string {
	var b strings.Builder
	b.WriteString(resolvHeader)
	var seen []netip.Addr
	for _, s := range servers {
		for _, a := range s.DNS {
			if !slices.Contains(seen, a) {
				seen = append(seen, a)
				fmt.Fprintf(&b, "nameserver %s\n", a)
			}
		}
	}
	if before == nil {
		return b.String()
	}
	for line := range strings.Lines(*before) {
		if f := strings.Fields(line); len(f) > 0 && slices.Contains([]string{"search", "domain", "options", "sortlist"}, f[0]) {
			b.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	return b.String()
}

// readText returns a file's text, or nil when there is none.
func readText(path string) (*string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text := string(b)
	return &text, nil
}

// writeInPlace replaces a text without replacing the file, which can be a
// mount. The old tail is blanked in the same write and cut off after it: a
// reader, and the next process after a kill, see one text or the other.
func writeInPlace(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	padded := text + strings.Repeat("\n", max(0, int(size)-len(text)))
	if _, err := f.WriteAt([]byte(padded), 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		return err
	}
	return f.Close()
}
