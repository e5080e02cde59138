package node

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/g8os/g8os/core/jobs/spool"
)

// spoolKey is the file in the volume with the key of the spool: what lies on the
// disk is of no use without the volume.
const spoolKey = "spool.key"

// openJobs opens the spool, with which jobs begin to be taken. The volume has to
// be open; fresh has a key made where there is none.
func (n *Node) openJobs(fresh bool) error {
	key, err := spool.Key(filepath.Join(n.opt.Mount, spoolKey), fresh)
	if err != nil {
		return err
	}
	return n.jobs.Open(key)
}

// jobEnv is what every job finds in its environment.
func (n *Node) jobEnv() []string {
	id := n.keys.identity()
	return []string{"G8OS_NODE=" + id.Name, "G8OS_GRID=" + id.Grid}
}

// adoptJobs goes on with the jobs of an earlier g8os_core as soon as the volume
// is open; they do not need an AC.
func (n *Node) adoptJobs() {
	if err := n.openJobs(false); err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.opt.Log.Warn("jobs of an earlier g8os_core wait for a session", "error", err)
	}
}
