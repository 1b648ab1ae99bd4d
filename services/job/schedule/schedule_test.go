package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(t testing.TB, text string) int64 {
	t.Helper()
	ms, err := ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func cron(t testing.TB, text string) Cron {
	t.Helper()
	c, err := ParseCron(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheNextThreeMinutesOfAnExpression(t *testing.T) {
	tests := []struct{ name, cron, from, want string }{
		{"the specification's example: Sundays 02:30", "cron(30 2 ? * SUN *)", "2026-11-23 02:15", "2026-11-29 02:30, 2026-12-06 02:30, 2026-12-13 02:30"},
		{"days of the week count from 1, Sunday", "cron(30 2 ? * 1 *)", "2026-11-29 02:30", "2026-11-29 02:30, 2026-12-06 02:30, 2026-12-13 02:30"},
		{"a second later is the next", "cron(30 2 ? * 1 *)", "2026-11-29 02:30:01", "2026-12-06 02:30, 2026-12-13 02:30, 2026-12-20 02:30"},
		{"MON-FRI over a weekend", "cron(0 18 ? * MON-FRI *)", "2026-11-26 18:01", "2026-11-27 18:00, 2026-11-30 18:00, 2026-12-01 18:00"},
		{"every ten minutes from 1", "cron(1/10 * * * ? *)", "2026-11-23 23:45", "2026-11-23 23:51, 2026-11-24 00:01, 2026-11-24 00:11"},
		{"every ten minutes", "cron(*/10 * * * ? *)", "2026-11-23 23:45", "2026-11-23 23:50, 2026-11-24 00:00, 2026-11-24 00:10"},
		{"steps within a range", "cron(0 8-17/4 ? * * *)", "2026-11-23 09:00", "2026-11-23 12:00, 2026-11-23 16:00, 2026-11-24 08:00"},
		{"lists of ranges, names in any case", "cron(0,30 6 1-2,15 jan,Jul ? *)", "2026-01-02 06:00", "2026-01-02 06:00, 2026-01-02 06:30, 2026-01-15 06:00"},
		{"the last day of the month", "cron(0 0 L * ? *)", "2027-12-31 00:01", "2028-01-31 00:00, 2028-02-29 00:00, 2028-03-31 00:00"},
		{"the 31st passes over short months", "cron(0 0 31 * ? *)", "2026-02-01 00:00", "2026-03-31 00:00, 2026-05-31 00:00, 2026-07-31 00:00"},
		{"the 29th of February", "cron(0 0 29 2 ? *)", "2026-01-01 00:00", "2028-02-29 00:00, 2032-02-29 00:00, 2036-02-29 00:00"},
		{"no leap year in 2100", "cron(0 0 29 2 ? *)", "2096-03-01 00:00", "2104-02-29 00:00, 2108-02-29 00:00, 2112-02-29 00:00"},
		{"the weekday nearest to the 3rd: a Saturday", "cron(0 9 3W 10 ? *)", "2026-01-01 00:00", "2026-10-02 09:00, 2027-10-04 09:00, 2028-10-03 09:00"},
		{"the weekday nearest to the 1st stays in the month", "cron(0 9 1W 8 ? *)", "2026-01-01 00:00", "2026-08-03 09:00, 2027-08-02 09:00, 2028-08-01 09:00"},
		{"the weekday nearest to the last stays in the month", "cron(0 9 31W 1 ? *)", "2026-01-31 00:00", "2027-01-29 09:00, 2028-01-31 09:00, 2029-01-31 09:00"},
		{"the last weekday", "cron(0 9 LW * ? *)", "2026-01-01 00:00", "2026-01-30 09:00, 2026-02-27 09:00, 2026-03-31 09:00"},
		{"the last Thursday", "cron(0 9 ? * 5L *)", "2026-11-01 00:00", "2026-11-26 09:00, 2026-12-31 09:00, 2027-01-28 09:00"},
		{"the last Friday, by name", "cron(0 9 ? * FRIL *)", "2026-11-01 00:00", "2026-11-27 09:00, 2026-12-25 09:00, 2027-01-29 09:00"},
		{"L alone is Saturday", "cron(0 9 ? * L *)", "2026-11-23 00:00", "2026-11-28 09:00, 2026-12-05 09:00, 2026-12-12 09:00"},
		{"the second Tuesday", "cron(0 9 ? * 3#2 *)", "2026-11-11 00:00", "2026-12-08 09:00, 2027-01-12 09:00, 2027-02-09 09:00"},
		{"the fifth Monday passes over months without one", "cron(0 9 ? * MON#5 *)", "2026-09-01 00:00", "2026-11-30 09:00, 2027-03-29 09:00, 2027-05-31 09:00"},
		{"years with steps end", "cron(0 0 1 1 ? 2196/2)", "2026-01-01 00:00", "2196-01-01 00:00, 2198-01-01 00:00"},
		{"the last minute there is", "cron(59 23 31 12 ? 2199)", "2026-01-01 00:00", "2199-12-31 23:59"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := cron(t, test.cron)
			var got []string
			for from := at(t, test.from); len(got) < 3; {
				next, ok := c.Next(from)
				if !ok {
					break
				}
				got = append(got, FormatTime(next))
				from = next + 1
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("%s from %s:\ngot  %s\nwant %s", test.cron, test.from, s, test.want)
			}
		})
	}
}

func TestABadExpressionIsRefusedByItsField(t *testing.T) {
	for _, test := range []struct{ cron, says string }{
		{"", "as in cron(30 2 ? * SUN *)"},
		{"30 2 ? * SUN *", "is not cron("},
		{"rate(5 minutes)", "is not cron("},
		{"cron(30 2 ? * SUN)", "is not cron("},
		{"cron(0 30 2 ? * SUN *)", "is not cron("},
		{"cron(60 2 ? * SUN *)", `minutes: "60" is not 0 to 59`},
		{"cron(-1 2 ? * SUN *)", `minutes: "" is not 0 to 59`},
		{"cron(30 24 ? * SUN *)", `hours: "24" is not 0 to 23`},
		{"cron(30 2 0 * ? *)", `day of month: "0" is not 1 to 31`},
		{"cron(30 2 32W * ? *)", `day of month: "32" is not 1 to 31`},
		{"cron(30 2 1 13 ? *)", `month: "13" is not 1 to 12 or JAN to DEC`},
		{"cron(30 2 ? * 0 *)", `day of week: "0" is not 1 to 7 or SUN to SAT`},
		{"cron(30 2 ? * 8L *)", `day of week: "8" is not 1 to 7`},
		{"cron(30 2 ? * 2/2 *)", "this field has none"},
		{"cron(30 2 ? * 3#6 *)", "1 to 5 behind the #"},
		{"cron(30 2 ? * 3#1,6#3 *)", "stands alone"},
		{"cron(30 2 ? * SAT-SUN *)", "ends before it begins"},
		{"cron(30 2 * * * *)", "write ? for one of them"},
		{"cron(30 2 ? * ? *)", "both ?"},
		{"cron(? 2 ? * SUN *)", `minutes: "?" is not`},
		{"cron(30 2 1,? * ? *)", `day of month: "?" is not`},
		{"cron(1/0 2 ? * SUN *)", "step of 1 to 60"},
		{"cron(L 2 ? * SUN *)", `minutes: "L"`},
		{"cron(, 2 ? * SUN *)", `minutes: ""`},
		{"cron(30 2 ? * SUN 1969)", `year: "1969" is not 1970 to 2199`},
		{"cron(30 2 ? * SUN 2200)", `year: "2200" is not 1970 to 2199`},
		{"cron(0 0 30 2 ? *)", "names no day"},
		{"cron(0 0 29 2 ? 2026)", "names no day"},
		{"cron(0" + strings.Repeat(",0", 200) + " 0 1 1 ? *)", "at most 256"},
	} {
		if _, err := ParseCron(test.cron); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.60s: got %v, want …%s…", test.cron, err, test.says)
		}
	}
}

// Every day of 28 years, in which each date falls on each weekday, and of those around 2100, which is no leap year, against
// the definitions, told by the standard library's calendar.
func TestWhichDaysAnExpressionNames(t *testing.T) {
	type rule struct {
		cron  string
		names func(day time.Time) bool
	}
	last := func(d time.Time) int { return time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() }
	nearest := func(d time.Time, n int) bool {
		if n > last(d) {
			return false
		}
		wanted := time.Date(d.Year(), d.Month(), n, 0, 0, 0, 0, time.UTC)
		best := 0
		for _, shift := range []int{0, -1, 1, -2, 2} {
			c := wanted.AddDate(0, 0, shift)
			if c.Month() == d.Month() && c.Weekday() != time.Saturday && c.Weekday() != time.Sunday {
				best = c.Day()
				break
			}
		}
		return d.Day() == best
	}
	rules := []rule{
		{"L * ?", func(d time.Time) bool { return d.Day() == last(d) }},
		{"LW * ?", func(d time.Time) bool { return nearest(d, last(d)) }},
		{"? 2 *", func(d time.Time) bool { return d.Month() == 2 }},
	}
	for n := 1; n <= 31; n++ {
		rules = append(rules, rule{fmt.Sprintf("%dW * ?", n), func(d time.Time) bool { return nearest(d, n) }})
	}
	for w := 1; w <= 7; w++ {
		rules = append(rules,
			rule{fmt.Sprintf("? * %d", w), func(d time.Time) bool { return int(d.Weekday()) == w-1 }},
			rule{fmt.Sprintf("? * %dL", w), func(d time.Time) bool { return int(d.Weekday()) == w-1 && d.Day()+7 > last(d) }})
		for n := 1; n <= 5; n++ {
			rules = append(rules, rule{fmt.Sprintf("? * %d#%d", w, n), func(d time.Time) bool {
				return int(d.Weekday()) == w-1 && d.Day() > 7*(n-1) && d.Day() <= 7*n
			}})
		}
	}
	var days []time.Time
	for _, years := range [][2]int{{2020, 2047}, {2099, 2101}} {
		for d := time.Date(years[0], 1, 1, 0, 0, 0, 0, time.UTC); d.Year() <= years[1]; d = d.AddDate(0, 0, 1) {
			days = append(days, d)
		}
	}
	for _, r := range rules {
		c := cron(t, "cron(0 0 "+r.cron+" *)")
		for _, d := range days {
			got := c.onDay(d.Year(), int(d.Month()), d.Day()) && c.months.has(int(d.Month()))
			if got != r.names(d) {
				t.Fatalf("%s names %s: %v", r.cron, d.Format(time.DateOnly), got)
			}
		}
	}
}

func TestAnOpeningIsOneWhereWindowsOverlapOrTouch(t *testing.T) {
	window := func(text string, minutes int64) Window { return Window{cron(t, text), minutes} }
	tests := []struct {
		name    string
		windows Windows
		from    string
		opens   string
		closes  string
	}{
		{"one window", Windows{window("cron(30 2 ? * SUN *)", 90)}, "2026-11-23 00:00", "2026-11-29 02:30", "2026-11-29 04:00"},
		{"two apart", Windows{window("cron(0 2 * * ? *)", 60), window("cron(0 4 * * ? *)", 60)}, "2026-11-23 00:00", "2026-11-23 02:00", "2026-11-23 03:00"},
		{"two that touch", Windows{window("cron(0 2 * * ? *)", 60), window("cron(0 3 * * ? *)", 60)}, "2026-11-23 00:00", "2026-11-23 02:00", "2026-11-23 04:00"},
		{"two that overlap", Windows{window("cron(0 2 * * ? *)", 60), window("cron(30 2 * * ? *)", 60)}, "2026-11-23 00:00", "2026-11-23 02:00", "2026-11-23 03:30"},
		{"one within another", Windows{window("cron(0 2 * * ? *)", 60), window("cron(30 2 * * ? *)", 10)}, "2026-11-23 00:00", "2026-11-23 02:00", "2026-11-23 03:00"},
		{"over midnight", Windows{window("cron(0 23 * * ? *)", 120)}, "2026-11-23 23:30", "2026-11-24 23:00", "2026-11-25 01:00"},
		{"always open, until it is looked at again", Windows{window("cron(* * * * ? *)", 1)}, "2026-11-23 00:00", "2026-11-23 00:00", "2026-11-23 06:40"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, ok := test.windows.Next(at(t, test.from))
			if !ok || FormatTime(o.Opens) != test.opens || FormatTime(o.Closes) != test.closes {
				t.Fatalf("got %s to %s, %v; want %s to %s", FormatTime(o.Opens), FormatTime(o.Closes), ok, test.opens, test.closes)
			}
			for _, probe := range []struct {
				now, notBefore int64
				open           bool
			}{{o.Opens, o.Opens, true}, {o.Closes - 1, o.Opens, true}, {o.Opens - 1, o.Opens - 1, false}} {
				if got, open := test.windows.At(probe.now, probe.notBefore); open != probe.open || open && probe.notBefore == o.Opens && got.Closes < o.Closes {
					t.Errorf("at %s: %v, %v", FormatTime(probe.now), got, open)
				}
			}
		})
	}
	w := Windows{window("cron(0 2 * * ? *)", 60)}
	if o, ok := w.At(at(t, "2026-11-23 02:30"), at(t, "2026-11-23 02:10")); ok {
		t.Errorf("a window that began before what is asked for: %v", o)
	}
	if o, ok := w.At(at(t, "2026-11-23 03:00"), 0); ok {
		t.Errorf("a window is open when it closes: %v", o)
	}
}

func TestTheNextSevenStarts(t *testing.T) {
	w := Windows{{cron(t, "cron(0 2 ? * SUN *)"), 60}, {cron(t, "cron(0 2 1 * ? *)"), 60}}
	var got []string
	for _, s := range w.Starts(at(t, "2026-11-23 00:00"), 0, 7) {
		got = append(got, FormatTime(s)[:10])
	}
	want := []string{"2026-11-29", "2026-12-01", "2026-12-06", "2026-12-13", "2026-12-20", "2026-12-27", "2027-01-01"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if got := w.Starts(at(t, "2026-11-23 00:00"), at(t, "2026-12-01 02:00"), 7); len(got) != 1 {
		t.Errorf("before an end: %v", got)
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{
		"1970-01-01 00:00": 0, "2026-11-23 02:15": 1795400100000, "2026-11-23T02:15Z": 1795400100000, "2026-11-23 02:15:30": 1795400130000, "2028-02-29 23:59": 1835481540000,
	} {
		if got, err := ParseTime(text); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now", "2026-11-23", "2026-13-01 00:00", "2026-02-29 00:00", "2026-11-23 24:00", "2026-11-23 02:60", "1969-12-31 23:59", "2026-11-23 2:15", "2026-11-23 02:15:61", "2026-11-23 02:15+01:00", "2026-11-23 02-15", strings.Repeat("0", 65)} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("%s is %d", text, got)
		}
	}
}

// Whatever time is read, the standard library reads the same, and writes it as we do.
func FuzzTime(f *testing.F) {
	for _, text := range []string{"2026-11-23 02:15", "2026-11-23T02:15:01Z", "0000-00-00 00:00", "2100-02-29 00:00", "9999-12-31 23:59"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTime(text)
		plain := strings.TrimSuffix(strings.Replace(text, "T", " ", 1), "Z")
		layout := "2006-01-02 15:04"
		if len(plain) > len(layout) {
			layout = time.DateTime
		}
		want, wantErr := time.Parse(layout, plain)
		if err != nil {
			return // the library takes more forms
		}
		if wantErr != nil || want.UnixMilli() != got || FormatTime(got) != want.Format("2006-01-02 15:04") {
			t.Fatalf("%q is %d, %s; the library says %v, %v", text, got, FormatTime(got), want, wantErr)
		}
	})
}

// Whatever expression is accepted, its next minute is one that it names by the standard library's calendar, and none of
// the minutes before it is.
func FuzzCron(f *testing.F) {
	for _, text := range []string{"cron(30 2 ? * SUN *)", "cron(1/10 * L * ? *)", "cron(0 0 ? 2,3 6#5 2026-2030)", "cron(0 8-17/4 15W * ? *)", "cron(59 23 LW 12 ? 2199)", "cron(0 0 ? * 2L */7)"} {
		f.Add(text, int64(1795400100000))
	}
	f.Fuzz(func(t *testing.T, text string, from int64) {
		c, err := ParseCron(text)
		if err != nil {
			return
		}
		from = (from%(300*365*dayMs) + 300*365*dayMs) % (300 * 365 * dayMs)
		got, ok := c.Next(from)
		named := func(ms int64) bool {
			d := time.UnixMilli(ms).UTC()
			return ms%minuteMs == 0 && c.inYear(d.Year()) && c.months.has(int(d.Month())) && c.hours.has(d.Hour()) && c.minutes.has(d.Minute()) && c.onDay(d.Year(), int(d.Month()), d.Day())
		}
		if ok && (got < from || !named(got)) {
			t.Fatalf("%s from %d is %d", text, from, got)
		}
		first := (from + minuteMs - 1) / minuteMs * minuteMs
		for m := first; m < first+3*dayMs && (!ok || m < got); m += minuteMs {
			if named(m) {
				t.Fatalf("%s from %d is %d, and %d is passed over", text, from, got, m)
			}
		}
		if ok {
			if back, is := c.last(got-dayMs, got); !is || back != got {
				t.Fatalf("%s: the last minute up to %d is %d, %v", text, got, back, is)
			}
		}
	})
}
