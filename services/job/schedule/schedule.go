// Package schedule reads the texts of a job's schedule and says when its windows open and close.
//
// It promises AWS's dialect of cron, whole, as a pure function of UTC: of a text that it accepts, every opening is a
// minute that the text names, and no such minute is passed over. Times are ms since the Unix epoch. It leaves to the job
// core which times a job may have, and what happens then. (specification §1.3 and §4.12)
//
// The libraries there are do not read this dialect: they number the days of the week from 0, end in the year 2099, take
// "?" for "*", or want seconds.
package schedule

// The length of a window in minutes, and of a cron expression in characters (specification §1.3).
const (
	MinutesMin = 1
	MinutesMax = 1430
	CronMax    = 256
	timeMax    = 64
)

const (
	minuteMs = 60_000
	dayMs    = 24 * 60 * minuteMs
)

// Window opens at each minute that its cron expression names, and closes so many minutes later.
type Window struct {
	Cron    Cron
	Minutes int64
}

// Windows are those of a job. Where they overlap, or one begins when another ends, they are one opening.
type Windows []Window

// Opening is a time for which a window is open: from Opens, and at Closes no more.
type Opening struct{ Opens, Closes int64 }

// mergesMax bounds how many windows in a row are one opening. A job whose window never closes is closed and opened in
// one moment after so many.
const mergesMax = 400

// Next is the first opening that begins at or after a time; false if there is none.
func (w Windows) Next(from int64) (Opening, bool) {
	opens, ok := w.start(from)
	if !ok {
		return Opening{}, false
	}
	return Opening{opens, w.closes(opens)}, true
}

// At is the opening in which a time lies, of those that begin at or after another; false if no window is open then.
func (w Windows) At(now, notBefore int64) (o Opening, ok bool) {
	for _, v := range w {
		at, is := v.Cron.last(max(notBefore, now-v.Minutes*minuteMs+1), now)
		if is && (!ok || at < o.Opens) {
			o.Opens, ok = at, true
		}
	}
	if ok {
		o.Closes = w.closes(o.Opens)
	}
	return o, ok
}

// Starts are the starts of the next windows at or after a time and before another, 0 is no bound; at most n.
func (w Windows) Starts(from, before int64, n int) (starts []int64) {
	for len(starts) < n {
		at, ok := w.start(from)
		if !ok || before != 0 && at >= before {
			break
		}
		starts = append(starts, at)
		from = at + 1
	}
	return starts
}

func (w Windows) start(from int64) (first int64, ok bool) {
	for _, v := range w {
		if at, is := v.Cron.Next(from); is && (!ok || at < first) {
			first, ok = at, true
		}
	}
	return first, ok
}

// closes is when what opened then closes.
func (w Windows) closes(opens int64) int64 {
	end := opens
	for range mergesMax {
		longer := end
		for _, v := range w {
			if at, ok := v.Cron.last(max(opens, end-v.Minutes*minuteMs), end); ok {
				longer = max(longer, at+v.Minutes*minuteMs)
			}
		}
		if longer == end {
			break
		}
		end = longer
	}
	return end
}
