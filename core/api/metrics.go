package api

// Metrics is what a node measures of itself, for the AC's Prometheus page. All
// of it is of one moment.
type Metrics struct {
	CPU       float64 `json:"cpu"`        // of all cores, 0 to 1, since the last one
	MemTotal  int64   `json:"mem_total"`  // bytes
	MemUsed   int64   `json:"mem_used"`   // bytes, without what the kernel can drop
	DiskTotal int64   `json:"disk_total"` // bytes, of the file system of its state
	DiskUsed  int64   `json:"disk_used"`
	NetIn     int64   `json:"net_in"`  // bytes since boot, all physical interfaces
	NetOut    int64   `json:"net_out"` // bytes since boot
	Load1     float64 `json:"load1"`
	Processes int     `json:"processes"`
	Services  int     `json:"services"`        // that run
	Failed    int     `json:"services_failed"` // that should and do not
	Jobs      int     `json:"jobs"`            // that run
}
