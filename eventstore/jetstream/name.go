package jetstream

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droverhq/drover/proto/id"
)

// rowWidth is how many digits the place of a stream in its row has.
const rowWidth = 4

// StreamName is the name of a log's stream: log-job-0001, log-execution-3-0001. Row counts the log's streams from 1.
func StreamName(log id.Log, row int) string {
	return fmt.Sprintf("log-%s-%0*d", strings.ReplaceAll(log.String(), ".", "-"), rowWidth, row)
}

// ParseStreamName is the twin of StreamName.
func ParseStreamName(s string) (log id.Log, row int, err error) {
	name, digits, err := cutLast(s, "-")
	if err == nil && len(digits) == rowWidth {
		row, err = strconv.Atoi(digits)
	}
	if err == nil && row > 0 {
		log, err = id.ParseLog(strings.Replace(name, "-", ".", 1))
	}
	if err != nil || StreamName(log, row) != s {
		return id.Log{}, 0, fmt.Errorf("stream %.40q is none of log-job-0001, log-targeting-…, log-rollout-…, log-execution-<home>-…", s)
	}
	return log, row, nil
}

// Subject is the one subject of a log's stream: log.job.1, log.execution.3.1.
func Subject(log id.Log, row int) string { return fmt.Sprintf("log.%s.%d", log, row) }

// ParseSubject is the twin of Subject.
func ParseSubject(s string) (log id.Log, row int, err error) {
	name, digits, err := cutLast(s, ".")
	if err == nil {
		row, err = strconv.Atoi(digits)
	}
	if err == nil {
		log, err = id.ParseLog(name)
	}
	if err != nil || row < 1 || Subject(log, row) != s {
		return id.Log{}, 0, fmt.Errorf("subject %.40q is none of log.job.1, log.targeting.…, log.rollout.…, log.execution.<home>.…", s)
	}
	return log, row, nil
}

// cutLast splits what follows "log" and a separator at the last separator.
func cutLast(s, sep string) (name, last string, err error) {
	s, ok := strings.CutPrefix(s, "log"+sep)
	i := strings.LastIndex(s, sep)
	if !ok || i < 0 {
		return "", "", strconv.ErrSyntax
	}
	return s[:i], s[i+1:], nil
}
