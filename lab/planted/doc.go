// Package planted shows that the testbed finds bugs: each one that
// internal/planted has is put into a grid, and some invariant has to catch it.
//
// It promises, for a build with the tag "planted" (make planted), that a
// schedule made for each bug catches it and passes without it, and a table of
// what caught which bug, at which fidelity and how soon; that includes whether
// swarm testing, which knows nothing of the bug, meets it too. Without the tag
// there is nothing in it.
package planted
