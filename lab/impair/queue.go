package impair

import "time"

// held is a frame until it is due.
type held struct {
	at   time.Duration
	seq  uint64
	data []byte
}

func (a held) before(b held) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// queue is a binary heap by time, then by arrival. container/heap would
// allocate for every frame.
type queue struct {
	frames []held
	seq    uint64
}

func (q *queue) push(f held) {
	q.seq++
	f.seq = q.seq
	q.frames = append(q.frames, f)
	for i := len(q.frames) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.frames[i].before(q.frames[parent]) {
			return
		}
		q.frames[i], q.frames[parent] = q.frames[parent], q.frames[i]
		i = parent
	}
}

// pop takes the first; there must be one.
func (q *queue) pop() held {
	first, last := q.frames[0], len(q.frames)-1
	q.frames[0], q.frames[last] = q.frames[last], held{}
	q.frames = q.frames[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.frames[child].before(q.frames[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		q.frames[i], q.frames[least] = q.frames[least], q.frames[i]
		i = least
	}
}
