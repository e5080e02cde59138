package api

import "time"

// ServiceState is how a service of a node is: a line of the answer to
// BuiltinServices.
type ServiceState struct {
	Name     string         `json:"name"`
	State    string         `json:"state"`         // see ServiceStates
	Why      string         `json:"why,omitempty"` // it is not ready
	PID      int            `json:"pid,omitempty"`
	Since    time.Time      `json:"since,omitzero"`
	After    []string       `json:"after,omitempty"`
	Restarts int            `json:"restarts,omitempty"` // since it was declared or the machine started
	Stopped  bool           `json:"stopped,omitempty"`  // by an operator: also after a reboot
	Next     *time.Time     `json:"next,omitempty"`     // when it is started (again)
	Last     *ServiceResult `json:"last,omitempty"`     // the last run that is over
	File     string         `json:"file,omitempty"`     // where it is declared
}

// Words of ServiceState.State, beside those for one that is fine.
const (
	ServiceInvalid = "invalid" // its declaration has a mistake: it is left out
	ServiceFailed  = "failed"
	ServiceResting = "resting"
	ServiceBlocked = "blocked"
)

// Failing tells whether somebody should look at a service.
func (s ServiceState) Failing() bool {
	switch s.State {
	case ServiceInvalid, ServiceFailed, ServiceResting, ServiceBlocked:
		return true
	}
	return false
}

// ServiceResult is a run that is over.
type ServiceResult struct {
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended"`
	Known   bool      `json:"known"` // Code says how: of one that ended while nobody watched it may not be known
	Code    int       `json:"code"`  // 128+n after signal n
	Why     string    `json:"why,omitempty"`
}

// ServiceList answers BuiltinServices.
type ServiceList struct {
	Services []ServiceState `json:"services"`
	Problems []string       `json:"problems,omitempty"` // with the declarations: FILE:LINE: what
}

// ServiceDo is what BuiltinService can be asked to do.
type ServiceDo string

// The verbs.
const (
	ServiceStart   ServiceDo = "start"   // also what has failed; also after a reboot
	ServiceStop    ServiceDo = "stop"    // with those that need it; also after a reboot
	ServiceRestart ServiceDo = "restart" //
	ServiceReload  ServiceDo = "reload"  // read the declarations again
	ServiceDeclare ServiceDo = "declare" // Text is the declaration
	ServiceRemove  ServiceDo = "remove"  // what was declared so
)

// ServiceRequest are the arguments of BuiltinService. The answer is a
// ServiceList with the one service, or with all after reload.
type ServiceRequest struct {
	Do   ServiceDo `json:"do"`
	Name string    `json:"name,omitempty"`
	Text string    `json:"text,omitempty"` // TOML with one [service.NAME]
}

// LogsRequest are the arguments of BuiltinLogs. The answer is one LogLine a line.
type LogsRequest struct {
	Name   string `json:"name"`
	Lines  int    `json:"lines,omitempty"`  // the last so many; 0: 100
	Follow bool   `json:"follow,omitempty"` // and what comes, until cancelled
}

// LogLine is one line that a service wrote.
type LogLine struct {
	Line string `json:"line"` // not UTF-8: what is not is replaced
}
