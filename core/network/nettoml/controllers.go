package nettoml

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/g8os/g8os/core/api"
)

// hostName is a DNS name (RFC 1123).
var hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)

// numeric is what looks like an IPv4 address and is none, like 10.0.0.300.
var numeric = regexp.MustCompile(`^[0-9.]+$`)

// controllers reads the list of ACs, each as https://host:port.
func controllers(v value, s *sink) []string {
	var list []string
	for _, x := range stringsOf(v, "controllers", s) {
		u, wrong := controller(x.text)
		if wrong == "" && slices.Contains(list, u) {
			wrong = "is there twice"
		}
		if wrong != "" {
			s.add(x.line, "controllers", fmt.Sprintf("%q %s", x.text, wrong), "https://HOST or https://HOST:PORT")
			continue
		}
		list = append(list, u)
	}
	return list
}

// controller returns the URL of an AC with its port, or what is wrong with it.
func controller(text string) (string, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", "is not a URL"
	case u.Scheme != "https":
		return "", "is not an https URL"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return "", "has more than a host and a port"
	case !validHost(u.Hostname()) || len(u.Host) > 255:
		return "", "has no valid host"
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(api.Port)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "has no valid port"
	}
	return "https://" + net.JoinHostPort(u.Hostname(), port), ""
}

func validHost(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
	}
	return hostName.MatchString(h) && !numeric.MatchString(h)
}
