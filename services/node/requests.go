package node

import (
	"cmp"
	"log/slog"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/droverhq/drover/services/fronts/aws"
)

// requests counts what the HTTP front answers, and notes each answer where that is wanted.
type requests struct {
	answered *prometheus.CounterVec
	took     *prometheus.HistogramVec
	log      *slog.Logger // nil: they are not noted
}

func newRequests(registry *prometheus.Registry, log *slog.Logger) *requests {
	r := &requests{
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drover_http_requests_total", Help: "Requests that the HTTP front has answered since this process started.",
		}, []string{"operation", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "drover_http_request_seconds", Help: "How long they took, from their header to the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		log: log,
	}
	registry.MustRegister(r.answered, r.took)
	return r
}

// observe takes in one answer. The front has named the operation, so that there are few.
func (r *requests) observe(o aws.Observation) {
	operation := cmp.Or(o.Operation, "none")
	r.answered.WithLabelValues(operation, strconv.Itoa(o.Status)).Inc()
	r.took.WithLabelValues(operation).Observe(o.Took.Seconds())
	if r.log != nil {
		r.log.Info("request", "id", o.RequestID, "operation", o.Operation, "status", o.Status, "error", o.Error,
			"seconds", o.Took.Seconds(), "accessKeyId", o.AccessKeyID, "remote", o.Remote)
	}
}
