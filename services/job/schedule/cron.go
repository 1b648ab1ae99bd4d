package schedule

const (
	yearMin = 1970
	yearMax = 2199
)

// Cron is an expression that was read: sets of the minutes, hours, months, years and days that it names. Bit n of a set
// is the number n; years count from 1970.
type Cron struct {
	minutes, hours, months set
	years                  [4]set
	// Of the day of the month, if byMonth: days, the weekday nearest to a day, the last day, the weekday nearest to it.
	// Of the day of the week, 1 is Sunday: weekdays, the last such day of the month, the nth one.
	byMonth                   bool
	days, nearest             set
	lastDay, lastWeekday      bool
	weekdays, last7           set
	nthWeekday, nthOccurrence int
}

// set is a set of numbers 0 to 63.
type set uint64

func (s set) has(n int) bool { return s>>n&1 == 1 }
func (s *set) add(n int)     { *s |= 1 << n }

// Next is the first minute at or after a time that the expression names; false if there is none.
func (c *Cron) Next(from int64) (int64, bool) {
	from = max(from, 0)
	at := floorDiv(from+minuteMs-1, minuteMs) * minuteMs
	day := at / dayMs
	minute := int(at % dayMs / minuteMs)
	year, month, of := dateOf(day)
	for ; year <= yearMax; year, month, of, minute = year+1, 1, 1, 0 {
		if !c.inYear(year) {
			continue
		}
		for ; month <= 12; month, of, minute = month+1, 1, 0 {
			if !c.months.has(month) {
				continue
			}
			for ; of <= daysIn(year, month); of, minute = of+1, 0 {
				if !c.onDay(year, month, of) {
					continue
				}
				if m, ok := c.minuteFrom(minute); ok {
					return daysTo(year, month, of)*dayMs + int64(m)*minuteMs, true
				}
			}
		}
	}
	return 0, false
}

// last is the last minute that the expression names from one time to another, both inclusive. It looks day by day, and
// so is for spans of a few days.
func (c *Cron) last(from, to int64) (int64, bool) {
	from = max(from, 0)
	minute := int(floorDiv(to, minuteMs) - floorDiv(to, dayMs)*24*60)
	for day := floorDiv(to, dayMs); day >= floorDiv(from, dayMs); day, minute = day-1, 24*60-1 {
		year, month, of := dateOf(day)
		if !c.inYear(year) || !c.months.has(month) || !c.onDay(year, month, of) {
			continue
		}
		if m, ok := c.minuteUpTo(minute); ok {
			at := day*dayMs + int64(m)*minuteMs
			return at, at >= from
		}
	}
	return 0, false
}

func (c *Cron) inYear(year int) bool {
	n := year - yearMin
	return 0 <= n && year <= yearMax && c.years[n/64].has(n%64)
}

// minuteFrom is the first minute of a day, from one on, that is named.
func (c *Cron) minuteFrom(from int) (int, bool) {
	for m := from; m < 24*60; m++ {
		if !c.hours.has(m / 60) {
			m += 59 - m%60
			continue
		}
		if c.minutes.has(m % 60) {
			return m, true
		}
	}
	return 0, false
}

// minuteUpTo is the last minute of a day, up to one, that is named.
func (c *Cron) minuteUpTo(to int) (int, bool) {
	for m := to; m >= 0; m-- {
		if !c.hours.has(m / 60) {
			m -= m % 60
			continue
		}
		if c.minutes.has(m % 60) {
			return m, true
		}
	}
	return 0, false
}

// onDay says whether the expression names a day.
func (c *Cron) onDay(year, month, day int) bool {
	last := daysIn(year, month)
	week := weekday(daysTo(year, month, day))
	if !c.byMonth {
		return c.weekdays.has(week) ||
			c.last7.has(week) && day+7 > last ||
			week == c.nthWeekday && (day+6)/7 == c.nthOccurrence
	}
	if c.days.has(day) || c.lastDay && day == last {
		return true
	}
	if week == 1 || week == 7 {
		return false
	}
	// A weekday stands for itself, for the Saturday behind a Friday and for the Sunday before a Monday. It never leaves
	// the month: for a Saturday the 1st stands Monday the 3rd, for a last day on Sunday the Friday before.
	near := func(wanted int) bool { return c.nearest.has(wanted) || c.lastWeekday && wanted == last }
	switch {
	case near(day):
		return true
	case week == 6 && (day < last && near(day+1) || day+2 == last && near(last)):
		return true
	case week == 2 && (day > 1 && near(day-1) || day == 3 && near(1)):
		return true
	}
	return false
}
