package recipe

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/g8os/g8os/ci/image/tree"
)

// An Identity is what a layer says of itself: /usr/share/g8os/image.json in
// the base, tools.json in the tools.
type Identity struct {
	ID      string `json:"id"`      // of the image: the same in all its layers
	Version string `json:"version"` // the day its packages were pinned
	Arch    string `json:"arch"`
	Kernel  string `json:"kernel"`                 // as uname -r says
	Tools   string `json:"tools_sha256,omitempty"` // of the tools layer; "" when none was made
	Size    int64  `json:"tools_size,omitempty"`
}

// Identities of the layers.
const (
	BaseIdentity  = "usr/share/g8os/image.json"
	ToolsIdentity = "usr/share/g8os/tools.json"
)

// JSON is how an identity is written.
func (i Identity) JSON() []byte {
	text, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		panic(err) // strings and a number
	}
	return append(text, '\n')
}

// Skeleton puts the files we write ourselves into the base: the top folders,
// /etc, the links to busybox. The programs of the base are in it already.
func Skeleton(t *tree.Tree, id Identity) error {
	for _, d := range strings.Fields("boot dev etc etc/g8os home media mnt opt proc run srv state sys usr usr/local/bin usr/local/sbin usr/lib/modules usr/share/g8os var/cache var/lib var/lib/docker var/log var/log/g8os var/spool") {
		t.Dir(d, 0o755)
	}
	t.Dir("root", 0o700)
	t.Dir("tmp", 0o1777)
	t.Dir("var/tmp", 0o1777)
	for at, to := range map[string]string{
		"lib": "usr/lib", "lib64": "usr/lib64",
		"var/run": "/run", "var/lock": "/run/lock", "etc/mtab": "../proc/self/mounts",
	} {
		t.PutTop(at, tree.Symlink(to))
	}
	t.Write("usr/bin/g8os_core", 0o755, nil) // PID 1 binds itself over it
	t.Write(BaseIdentity, 0o644, id.JSON())
	t.Write("etc/os-release", 0o644, fmt.Appendf(nil, "PRETTY_NAME=\"G8OS %[1]s\"\nNAME=G8OS\nID=g8os\nID_LIKE=debian\nVERSION_ID=%[1]s\nIMAGE_ID=%[2]s\n", id.Version, id.ID))
	if err := copySkeleton(t); err != nil {
		return err
	}
	fallbacks(t)
	return nil
}

// fallbacks fills /bin and /sbin, which come last on every PATH. They are no
// links to /usr here: busybox's commands are in them, so that those of the
// tools layer count where it is mounted, and the base's where it is not or its
// stick was pulled. What scripts call as /bin/NAME is linked to where it is.
func fallbacks(t *tree.Tree) {
	t.PutTop("bin", tree.Folder(0o755))
	t.PutTop("sbin", tree.Folder(0o755))
	for _, applet := range strings.Fields(applets) {
		t.PutTop(applet, tree.Symlink("../usr/bin/busybox"))
	}
	t.Link("usr/bin/env", "busybox") // scripts name it so
	programs := strings.Fields(elsewhere)
	for _, p := range t.Paths() {
		if in, is := strings.CutPrefix(p, "usr/"); is && (path.Dir(in) == "bin" || path.Dir(in) == "sbin") {
			programs = append(programs, in)
		}
	}
	for _, p := range programs {
		if !t.Has(p) {
			t.PutTop(p, tree.Symlink("../usr/"+p))
		}
	}
}

// copySkeleton copies the folder skeleton as it is; private is what only root
// may read, runnable what is a program.
func copySkeleton(t *tree.Tree) error {
	private := map[string]bool{"etc/shadow": true, "etc/gshadow": true}
	return fs.WalkDir(source, "skeleton", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := source.ReadFile(p)
		if err != nil {
			return err
		}
		at, mode := strings.TrimPrefix(p, "skeleton/"), int64(0o644)
		if private[at] {
			mode = 0o600
		} else if strings.HasPrefix(at, "usr/bin/") || strings.HasPrefix(at, "usr/sbin/") {
			mode = 0o755
		}
		t.Write(at, mode, text)
		return nil
	})
}
