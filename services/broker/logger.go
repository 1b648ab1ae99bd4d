package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// logger hands the server's lines to slog. Its notices are details to us. What the server calls fatal would end the
// process if it owned it: here it is kept for start, which returns it.
type logger struct {
	log   *slog.Logger
	fatal chan error // holds the first
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  {}
func (l *logger) Tracef(format string, v ...any)  {}
func (l *logger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }

func (l *logger) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	switch {
	case strings.HasPrefix(text, "Plaintext passwords detected"): // they are drawn, and stand in memory only
	case strings.HasPrefix(text, "Filestore [") && containsAny(text, afterKill):
		l.log.Debug(text)
	default:
		l.log.Warn(text)
	}
}

// afterKill is what the server says of each stream after kill -9: its index is older than its blocks, and is made again
// from them. Nothing is lost; what is, the verification of the logs finds.
var afterKill = []string{"Stream state outdated, last block has additional entries", "Recovering stream state from index errored: prior state file"}

func containsAny(text string, any []string) bool {
	return slices.ContainsFunc(any, func(s string) bool { return strings.Contains(text, s) })
}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	select {
	case l.fatal <- errors.New(text):
	default:
	}
	l.log.Error(text)
}
