package metrics

import (
	"cmp"
	"slices"
	"strings"
)

// Rows are the beginnings of the rows that METRICS.md has to have for what is
// exposed now under the AC's own names: name, type, labels.
func (m *Metrics) Rows() []string {
	families, _ := m.registry.Gather() // what cannot be read has no row
	var rows []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace) {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		rows = append(rows, "| `"+f.GetName()+"` | "+strings.ToLower(f.GetType().String())+" | "+cmp.Or(strings.Join(labels, ", "), "-")+" |")
	}
	return rows
}
