package server

import (
	"crypto/tls"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// may says who the least is that may use each path of operators. It is written
// here a second time, so that nobody changes it without meaning to.
var may = map[string]string{
	"GET /api/nodes":                  "viewer",
	"GET /api/nodes/{id}":             "viewer",
	"GET /api/audit":                  "viewer",
	"POST /api/nodes/{id}/grace":      "admin",
	"DELETE /api/nodes/{id}/grace":    "admin",
	"GET /api/faults":                 "viewer",
	"GET /api/support":                "admin",
	"GET /metrics":                    "viewer",
	"GET /api/metrics/nodes":          "viewer",
	"GET /api/events":                 "viewer",
	"GET /api/rotations":              "viewer",
	"POST /api/rotations":             "admin",
	"POST /api/rotations/{kind}/{do}": "admin",
	"GET /api/backup":                 "admin",
	"GET /api/acs":                    "viewer",
	"POST /api/acs":                   "admin",
	"DELETE /api/acs/{name}":          "admin",
	"POST /api/acs/{name}/drain":      "admin",
	"DELETE /api/acs/{name}/drain":    "admin",
	"GET /api/audit/chain":            "viewer",
	"GET /api/tokens":                 "viewer",
	"POST /api/tokens":                "operator",
	"DELETE /api/tokens/{id}":         "operator",
	"GET /api/operators":              "viewer",
	"POST /api/operators":             "admin",
	"DELETE /api/operators/{id}":      "admin",
	"POST /api/nodes/{id}/recovery":   "admin",
	"POST /api/nodes/{id}/approve":    "operator",
	"GET /api/jobs":                   "viewer",
	"POST /api/jobs":                  "viewer",
	"GET /api/jobs/{job}":             "viewer",
	"GET /api/jobs/{job}/events":      "viewer",
	"POST /api/jobs/{job}/cancel":     "operator",
	"POST /api/jobs/{job}/retry":      "operator",
	"POST /api/nodes/{id}/roles":      "operator",
	"GET /api/nodes/{id}/channel":     "operator",
	"GET /api/schedules":              "viewer",
	"POST /api/schedules":             "operator",
	"DELETE /api/schedules/{name}":    "operator",
	"POST /api/nodes/{id}/drain":      "operator",
	"DELETE /api/nodes/{id}/drain":    "operator",
	"POST /api/releases":              "admin",
	"PUT /api/releases/{sum}":         "admin",
	"GET /api/releases/{sum}":         "viewer",
	"GET /api/upgrade":                "viewer",
	"POST /api/upgrade":               "admin",
	"POST /api/upgrade/{do}":          "admin",
	"POST /api/nodes/{id}/retire":     "admin",
	"POST /api/nodes/{id}/quarantine": "admin",
	"POST /api/nodes/{id}/release":    "admin",
	"POST /api/faults":                "admin",
	"DELETE /api/faults":              "admin",
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// Every path of operators is closed to everybody below its level, whoever he
// is, and open to those above.
func TestEveryRouteChecksTheRole(t *testing.T) {
	r := newRealRig(t, enrol.ModeApprove)
	shown := map[string][]tls.Certificate{
		"a stranger":     nil,
		"a node":         {r.credentials(api.RoleNode, "020000000001")},
		"an AC":          {r.credentials(api.RoleAC, "ac2")},
		"an odd role":    {r.credentials(api.RoleOperator, "root.eve")},
		"no role at all": {r.credentials(api.RoleOperator, "ann")},
		"viewer":         {r.credentials(api.RoleOperator, "viewer.vic")},
		"operator":       {r.credentials(api.RoleOperator, "operator.oz")},
		"admin":          {r.credentials(api.RoleOperator, "admin.ann")},
	}
	routes := r.srv.operatorRoutes()
	if len(routes) != len(may) {
		t.Errorf("%d routes, %d in the table of this test", len(routes), len(may))
	}
	for who, own := range shown {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: r.clientTLS(own...)}}
		defer c.CloseIdleConnections()
		for _, route := range routes {
			least, decided := may[route.pattern]
			if !decided {
				t.Errorf("%s is not in the table of this test: who may use it?", route.pattern)
				continue
			}
			method, path, _ := strings.Cut(route.pattern, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.addr+placeholder.ReplaceAllString(path, "nobody"), nil)
			must(t, err)
			res, err := c.Do(req)
			must(t, err)
			_ = res.Body.Close()
			want := http.StatusUnauthorized
			switch has := levels[who]; {
			case has >= levels[least]:
				want = 0 // anything but a refusal
			case has > nobody:
				want = http.StatusForbidden
			}
			refused := res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden
			if want == 0 && refused || want != 0 && res.StatusCode != want {
				t.Errorf("%s by %s: %d, want %d (0: not refused)", route.pattern, who, res.StatusCode, want)
			}
		}
	}
}
