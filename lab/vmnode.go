package lab

// fidelityVM is that of a node that is a QEMU machine.
const fidelityVM = "vm"

// vmBody is a node that is a QEMU machine.
type vmBody struct{ netnsBody }
