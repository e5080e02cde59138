package server

import (
	"encoding/json"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// reply writes v with a status. Headers are the same for every reply.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		body, status = []byte(`{"error":"reply cannot be encoded"}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// refuse is the one answer to a node that gets nothing.
func refuse(w http.ResponseWriter) { reply(w, http.StatusForbidden, api.Refused) }

// fail tells an operator what went wrong and what to do.
func fail(w http.ResponseWriter, status int, remedy string, err error) {
	reply(w, status, api.Failure{Error: err.Error(), Remedy: remedy})
}
