package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/droverhq/drover/services/host"
)

// metrics describes what the roles of this process have done, at the moment it is asked.
type metrics struct{ n *Node }

var (
	commits    = describe("log_commits_total", "Commits written since this process last began to stand by for the log.", "log")
	entries    = describe("log_entries_total", "Events written since this process last began to stand by for the log.", "log")
	end        = describe("log_end", "Number of the last commit.", "log")
	appends    = describe("append_seconds", "How long appends took, from the first sending to the outcome.", "log")
	longest    = describe("append_longest_seconds", "The longest append since this process last began to stand by for the log.", "log")
	waiting    = describe("requests_waiting", "Requests that are not decided.", "log")
	throttled  = describe("requests_throttled_total", "Requests turned away because too many waited.", "log")
	behind     = describe("upstream_behind", "Upstream commits that have arrived and are not reacted to.", "log")
	untold     = describe("notifications_behind", "Commits whose notifications the broker does not have.", "log")
	owner      = describe("log_owner", "1 if this process owns the log, else 0.", "log")
	takeovers  = describe("log_takeovers_total", "How often this process has come to own the log.", "log")
	leaseLeft  = describe("lease_remaining_seconds", "What is left of the lease of the log; 0 if this process does not hold it.", "log")
	standbyLag = describe("standby_behind", "Commits of the log that this standby has not folded.", "log")
	tookOver   = describe("log_takeover_seconds", "From the lease to taking requests, at the last takeover by this process; 0 before.", "log")
	lag        = describe("models_behind", "Commits of a log that the read models have not folded.", "log")

	inboxWaiting  = describe("inbox_waiting", "Durable commands that are kept, those in hand included.")
	inboxPoison   = describe("inbox_poison", "Durable commands in the poison queue.")
	inboxCommands = describe("inbox_commands_total", "What this process has done with durable commands since it started.", "outcome")

	feedFeeding   = describe("feed_feeding", "1 if this process publishes the feed, 0 if it stands by.")
	feedPublished = describe("feed_published_total", "Messages that this process has published since it started.")
	feedLast      = describe("feed_last", "The feed's last number.")
	feedBehind    = describe("feed_behind", "Commits of all logs that are not in the feed.")
	feedDelay     = describe("feed_delay_seconds", "From the last published event's commit to its message.")

	webhookLag      = describe("webhook_behind", "Messages of the feed that a webhook has not been sent.", "webhook")
	webhookRequests = describe("webhook_requests_total", "Requests of this process to a webhook since it started.", "webhook", "outcome")
	webhookStopped  = describe("webhook_stopped", "1 if the receiver wants no more.", "webhook")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("drover_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: the metrics depend on the logs, so they are not checked beforehand.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, p := range m.n.partitions {
		p.collect(out)
	}
	m.n.collectModels(ctx, out)
	m.n.collectInbox(ctx, out)
	m.n.collectFeed(out)
}

func (p *partition) collect(out chan<- prometheus.Metric) {
	s := p.status()
	number := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
		out <- prometheus.MustNewConstMetric(d, t, v, p.name.String())
	}
	number(owner, prometheus.GaugeValue, oneIf(s.State == stateServing))
	number(takeovers, prometheus.CounterValue, float64(s.terms))
	number(leaseLeft, prometheus.GaugeValue, p.leaseLeft().Seconds())
	number(tookOver, prometheus.GaugeValue, s.TookOver.Seconds())
	number(commits, prometheus.CounterValue, float64(s.Commits))
	number(entries, prometheus.CounterValue, float64(s.Entries))
	number(end, prometheus.GaugeValue, float64(s.End))
	number(longest, prometheus.GaugeValue, s.AppendLongest.Seconds())
	number(waiting, prometheus.GaugeValue, float64(s.Waiting))
	number(throttled, prometheus.CounterValue, float64(s.Throttled))
	if s.State == stateStandby {
		number(standbyLag, prometheus.GaugeValue, float64(s.Behind))
	} else {
		number(behind, prometheus.GaugeValue, float64(s.Behind))
	}
	number(untold, prometheus.GaugeValue, float64(s.Untold))
	out <- histogram(s.Stats, p.name.String())
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (n *Node) collectModels(ctx context.Context, out chan<- prometheus.Metric) {
	if n.runner == nil {
		return
	}
	lags, err := n.runner.Lags(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(lag, err)
		return
	}
	for _, l := range lags {
		out <- prometheus.MustNewConstMetric(lag, prometheus.GaugeValue, float64(l.Behind()), l.Log.String())
	}
}

func (n *Node) collectInbox(ctx context.Context, out chan<- prometheus.Metric) {
	if n.inbox == nil {
		return
	}
	s, err := n.inbox.Stats(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(inboxWaiting, err)
	} else {
		out <- prometheus.MustNewConstMetric(inboxWaiting, prometheus.GaugeValue, float64(s.Waiting))
		out <- prometheus.MustNewConstMetric(inboxPoison, prometheus.GaugeValue, float64(s.Poison))
	}
	for outcome, count := range map[string]uint64{
		"accepted": s.Accepted, "refused": s.Refused, "poisoned": s.Poisoned, "retried": s.Retried, "set aside": s.SetAside,
	} {
		out <- prometheus.MustNewConstMetric(inboxCommands, prometheus.CounterValue, float64(count), outcome)
	}
}

func (n *Node) collectFeed(out chan<- prometheus.Metric) {
	if n.feeder == nil {
		return
	}
	s := n.feeder.Stats()
	out <- prometheus.MustNewConstMetric(feedFeeding, prometheus.GaugeValue, oneIf(s.Feeding))
	out <- prometheus.MustNewConstMetric(feedPublished, prometheus.CounterValue, float64(s.Published))
	out <- prometheus.MustNewConstMetric(feedLast, prometheus.GaugeValue, float64(s.Last))
	out <- prometheus.MustNewConstMetric(feedBehind, prometheus.GaugeValue, float64(s.Behind))
	out <- prometheus.MustNewConstMetric(feedDelay, prometheus.GaugeValue, s.Delay.Seconds())
	if n.bridge == nil {
		return
	}
	for _, w := range n.bridge.Stats() {
		out <- prometheus.MustNewConstMetric(webhookLag, prometheus.GaugeValue, float64(w.Lag), w.Name)
		out <- prometheus.MustNewConstMetric(webhookRequests, prometheus.CounterValue, float64(w.Delivered), w.Name, "delivered")
		out <- prometheus.MustNewConstMetric(webhookRequests, prometheus.CounterValue, float64(w.Failed), w.Name, "failed")
		out <- prometheus.MustNewConstMetric(webhookStopped, prometheus.GaugeValue, oneIf(w.Stopped), w.Name)
	}
}

func histogram(s host.Stats, log string) prometheus.Metric {
	var count uint64
	buckets := map[float64]uint64{}
	for i, bound := range host.AppendBounds {
		count += s.Appends[i]
		buckets[bound.Seconds()] = count
	}
	count += s.Appends[len(host.AppendBounds)]
	return prometheus.MustNewConstHistogram(appends, count, s.AppendTotal.Seconds(), buckets, log)
}
