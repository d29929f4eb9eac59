package torture

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
)

// receiver is another machine, which stays up, and takes what http.later sends, but for one
// request in twenty, which it asks to come again.
type receiver struct {
	ln     net.Listener
	server *http.Server

	mu     sync.Mutex
	rng    *rand.Rand
	rounds map[int]*received
}

// received is what came in one round.
type received struct {
	keys     map[string]map[string]int // times, by id and idempotency key
	last     map[int]int               // greatest number of each client
	disorder []string
}

func newReceiver(seed uint64) (*receiver, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{ln: ln, rng: rand.New(rand.NewPCG(seed, 1<<32)), rounds: map[int]*received{}}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(ln)
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.ln.Addr().String() + "/" }

func (r *receiver) close() { r.server.Close() }

// ServeHTTP takes one request. A client sends its next one after the answer, and requests for one
// host go out in order, so each client's numbers must come in order, but for repetitions.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var in struct {
		ID               string
		Round, Client, N int
	}
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rng.IntN(20) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	got := r.rounds[in.Round]
	if got == nil {
		got = &received{keys: map[string]map[string]int{}, last: map[int]int{}}
		r.rounds[in.Round] = got
	}
	if got.keys[in.ID] == nil {
		got.keys[in.ID] = map[string]int{}
		if in.N < got.last[in.Client] {
			got.disorder = append(got.disorder, fmt.Sprintf("%s came first after number %d of its client", in.ID, got.last[in.Client]))
		}
		got.last[in.Client] = in.N
	}
	got.keys[in.ID][req.Header.Get("Idempotency-Key")]++
}

// of is what came in a round, and what came out of order.
func (r *receiver) of(round int) (keys map[string]map[string]int, disorder []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rounds, round-2)
	if got := r.rounds[round]; got != nil {
		return maps.Clone(got.keys), got.disorder
	}
	return nil, nil
}
