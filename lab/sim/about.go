package sim

// What a simulated run rests on, for who reads its verdict.
const (
	Production = "boot, DHCP client, address conflicts, unlock, key slots, secure, job ledger; enrolment, registry, CA, sealing, sessions, jobs; " +
		"certificates, signatures of device keys, key slots and sealing are real"
	Replaced = "TLS records (nothing is encrypted, chains are verified), gocryptfs, etcd, sshd, HTTP and WebSocket framing, the kernel"
)
