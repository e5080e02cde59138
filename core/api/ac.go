package api

// AC is what an operator sees of a controller (g8os ac list -o json).
type AC struct {
	Name     string   `json:"name"`
	State    ACState  `json:"state"`
	Leader   bool     `json:"leader"`             // it orders the writes of the store
	URL      string   `json:"url,omitempty"`      // where other ACs and operators reach it
	PeerURL  string   `json:"peer_url,omitempty"` // where the other members of the store do
	Sessions int      `json:"sessions"`
	Holds    []string `json:"holds,omitempty"` // segments on which it has 10.254.254.254
	Version  string   `json:"version,omitempty"`
}

// ACState is how a controller stands among the others.
type ACState string

// The states of an AC.
const (
	ACServing  ACState = "serving"
	ACJoining  ACState = "joining"  // added; it has not started, or has not caught up: it does not vote
	ACDraining ACState = "draining" // its nodes are to go to others
	ACDown     ACState = "down"     // it has not been heard for some seconds
	ACUnknown  ACState = "unknown"  // the AC that is asked has no majority: it hears of nobody
)

// NewAC is the body of a request to let one more AC in.
type NewAC struct {
	Name    string `json:"name"`
	PeerURL string `json:"peer_url"`
}
