package schedule

import (
	"fmt"
	"strings"
)

// field is one of the six, with its bounds and the names of its numbers.
type field struct {
	name     string
	min, max int
	names    []string // of min, min+1, …
}

var (
	minuteField = field{name: "minutes", max: 59}
	hourField   = field{name: "hours", max: 23}
	dayField    = field{name: "day of month", min: 1, max: 31}
	monthField  = field{name: "month", min: 1, max: 12, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}}
	weekField   = field{name: "day of week", min: 1, max: 7, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}}
	yearField   = field{name: "year", min: yearMin, max: yearMax}
)

func (f field) fault(item, format string, args ...any) error {
	return fmt.Errorf("%s: %.40q %s", f.name, item, fmt.Sprintf(format, args...))
}

// ParseCron reads cron(minutes hours day-of-month month day-of-week year). One of the two day fields is "?". An
// expression that names no minute at all is refused.
func ParseCron(text string) (c Cron, err error) {
	if len(text) > CronMax {
		return c, fmt.Errorf("the expression has %d characters; at most %d are allowed", len(text), CronMax)
	}
	inner, ok := strings.CutPrefix(strings.TrimSpace(text), "cron(")
	if ok {
		inner, ok = strings.CutSuffix(inner, ")")
	}
	fields := strings.Fields(inner)
	if !ok || len(fields) != 6 {
		return c, fmt.Errorf("%.40q is not cron(minutes hours day-of-month month day-of-week year), as in cron(30 2 ? * SUN *)", text)
	}
	for _, f := range []struct {
		field
		text string
		add  func(int)
	}{
		{minuteField, fields[0], c.minutes.add},
		{hourField, fields[1], c.hours.add},
		{monthField, fields[3], c.months.add},
		{yearField, fields[5], func(n int) { c.years[(n-yearMin)/64].add((n - yearMin) % 64) }},
	} {
		if err := f.list(f.text, func(item string) error { return f.item(item, true, f.add) }); err != nil {
			return c, err
		}
	}
	if err := c.parseDays(fields[2], fields[4]); err != nil {
		return c, err
	}
	if _, ok := c.Next(0); !ok {
		return c, fmt.Errorf("%.60q names no day of the years %d to %d", text, yearMin, yearMax)
	}
	return c, nil
}

func (c *Cron) parseDays(month, week string) error {
	switch {
	case month == "?" && week == "?":
		return fmt.Errorf("day of month and day of week are both ?; give one of them")
	case month != "?" && week != "?":
		return fmt.Errorf("day of month and day of week are both given; write ? for one of them")
	case week == "?":
		c.byMonth = true
		return dayField.list(month, c.monthDay)
	}
	return weekField.list(week, func(item string) error { return c.weekDay(item, item == week) })
}

// monthDay reads an item of the day of the month: L, LW and 3W beside what all fields have.
func (c *Cron) monthDay(item string) error {
	switch {
	case item == "L":
		c.lastDay = true
		return nil
	case item == "LW":
		c.lastWeekday = true
		return nil
	case strings.HasSuffix(item, "W"):
		n, err := dayField.value(item[:len(item)-1])
		if err != nil {
			return err
		}
		c.nearest.add(n)
		return nil
	}
	return dayField.item(item, true, c.days.add)
}

// weekDay reads an item of the day of the week: L, 5L and 3#2 beside what the others have, but no steps. Alone says
// that the field holds nothing else.
func (c *Cron) weekDay(item string, alone bool) error {
	if day, nth, ok := strings.Cut(item, "#"); ok {
		n, good := number(nth)
		if !good || n < 1 || n > 5 {
			return weekField.fault(item, "has no 1 to 5 behind the #")
		}
		if !alone {
			return weekField.fault(item, "stands in a list; an expression with # stands alone")
		}
		d, err := weekField.value(day)
		c.nthWeekday, c.nthOccurrence = d, n
		return err
	}
	if item == "L" {
		c.weekdays.add(7) // the last day of the week
		return nil
	}
	if day, ok := strings.CutSuffix(item, "L"); ok {
		d, err := weekField.value(day)
		if err != nil {
			return err
		}
		c.last7.add(d)
		return nil
	}
	return weekField.item(item, false, c.weekdays.add)
}

// list reads a field item by item.
func (f field) list(text string, item func(string) error) error {
	for i := range strings.SplitSeq(text, ",") {
		if err := item(i); err != nil {
			return err
		}
	}
	return nil
}

// item reads *, a, a-b, and with steps */n, a/n (from a on) and a-b/n.
func (f field) item(item string, steps bool, add func(int)) error {
	span, every, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		if !steps {
			return f.fault(item, "has steps; this field has none")
		}
		var ok bool
		if step, ok = number(every); !ok || step < 1 || step > f.max-f.min+1 {
			return f.fault(item, "has no step of 1 to %d behind the /", f.max-f.min+1)
		}
	}
	from, to := f.min, f.max
	if span != "*" {
		var err error
		first, last, ranged := strings.Cut(span, "-")
		if from, err = f.value(first); err != nil {
			return err
		}
		switch {
		case ranged:
			if to, err = f.value(last); err != nil {
				return err
			}
			if to < from {
				return f.fault(item, "ends before it begins")
			}
		case !stepped:
			to = from
		}
	}
	for n := from; n <= to; n += step {
		add(n)
	}
	return nil
}

// value reads a number or a name.
func (f field) value(s string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(s, name) {
			return f.min + i, nil
		}
	}
	n, ok := number(s)
	if !ok || n < f.min || n > f.max {
		also := ""
		if f.names != nil {
			also = fmt.Sprintf(" or %s to %s", f.names[0], f.names[len(f.names)-1])
		}
		return 0, f.fault(s, "is not %d to %d%s", f.min, f.max, also)
	}
	return n, nil
}
