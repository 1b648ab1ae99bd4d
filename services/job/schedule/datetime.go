package schedule

import "fmt"

// ParseTime reads "YYYY-MM-DD HH:MM", UTC; also with a "T" in the middle, with seconds, and with a "Z" behind. Years are
// 1970 to 9999.
func ParseTime(text string) (ms int64, err error) {
	fault := func(why string) (int64, error) {
		return 0, fmt.Errorf("%.40q is no time: %s; write YYYY-MM-DD HH:MM, in UTC", text, why)
	}
	if len(text) == 0 || len(text) > timeMax {
		return fault(fmt.Sprintf("it has %d characters", len(text)))
	}
	rest := text
	if rest[len(rest)-1] == 'Z' {
		rest = rest[:len(rest)-1]
	}
	if len(rest) != len("YYYY-MM-DD HH:MM") && len(rest) != len("YYYY-MM-DD HH:MM:SS") {
		return fault("it has another length")
	}
	if rest[4] != '-' || rest[7] != '-' || rest[10] != ' ' && rest[10] != 'T' || rest[13] != ':' {
		return fault("it is written otherwise")
	}
	seconds := "00"
	if len(rest) > 16 {
		if rest[16] != ':' {
			return fault("it is written otherwise")
		}
		seconds = rest[17:]
	}
	var n [6]int
	for i, digits := range []string{rest[:4], rest[5:7], rest[8:10], rest[11:13], rest[14:16], seconds} {
		var ok bool
		if n[i], ok = number(digits); !ok {
			return fault("a digit is missing")
		}
	}
	switch year, month, day := n[0], n[1], n[2]; {
	case year < 1970:
		return fault("years begin with 1970")
	case month < 1 || month > 12:
		return fault(fmt.Sprintf("there is no month %d", month))
	case day < 1 || day > daysIn(year, month):
		return fault(fmt.Sprintf("the month has no day %d", day))
	case n[3] > 23 || n[4] > 59 || n[5] > 59:
		return fault("the day has no such minute")
	}
	return daysTo(n[0], n[1], n[2])*dayMs + int64(n[3]*3600+n[4]*60+n[5])*1000, nil
}

// FormatTime is the twin of ParseTime: "YYYY-MM-DD HH:MM". Seconds are cut off.
func FormatTime(ms int64) string {
	days := floorDiv(ms, dayMs)
	year, month, day := dateOf(days)
	minute := (ms - days*dayMs) / minuteMs
	return fmt.Sprintf("%04d-%02d-%02d %02d:%02d", year, month, day, minute/60, minute%60)
}

// number reads 1 to 6 decimal digits and nothing else.
func number(s string) (n int, ok bool) {
	if len(s) == 0 || len(s) > 6 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
