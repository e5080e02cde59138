package lab

// vmBody is a node that is a QEMU machine.
type vmBody struct{ netnsBody }
