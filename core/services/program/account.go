package program

import (
	"cmp"
	"fmt"
	"os/user"
	"strconv"
	"syscall"
)

// account is whom a service runs as; nil: the user that g8os_core is.
func account(name, group string) (*syscall.Credential, error) {
	if name == "" && group == "" {
		return nil, nil
	}
	u, err := lookUser(cmp.Or(name, "0"))
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{}
	if c.Uid, err = number(u.Uid); err != nil {
		return nil, err
	}
	if c.Gid, err = groupID(cmp.Or(group, u.Gid)); err != nil {
		return nil, err
	}
	others, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
	}
	for _, o := range others {
		if id, err := number(o); err == nil {
			c.Groups = append(c.Groups, id)
		}
	}
	return c, nil
}

// lookUser finds a user by name or number. A number need not have an account.
func lookUser(name string) (*user.User, error) {
	if _, err := number(name); err == nil {
		if u, err := user.LookupId(name); err == nil {
			return u, nil
		}
		return &user.User{Uid: name, Gid: name, Username: name, HomeDir: "/"}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("there is no user %s: %w", name, err)
	}
	return u, nil
}

func groupID(name string) (uint32, error) {
	if id, err := number(name); err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("there is no group %s: %w", name, err)
	}
	return number(g.Gid)
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

// homeOf are the variables that say who one is.
func homeOf(c *syscall.Credential) []string {
	if c == nil {
		return []string{"HOME=/root", "USER=root", "LOGNAME=root"}
	}
	u, err := lookUser(strconv.FormatUint(uint64(c.Uid), 10))
	if err != nil {
		return nil
	}
	return []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}
}
