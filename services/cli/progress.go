package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// terminal says whether a stream is one, and how many columns it has.
func terminal(w io.Writer) (columns int, ok bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = 80 // one that does not say
	}
	return columns, true
}

// progress shows on stderr how many items are done: a bar on a terminal, elsewhere a line every two seconds.
type progress struct {
	bar  *progressbar.ProgressBar // nil: lines
	a    *app
	verb string

	mu   sync.Mutex // guards what follows, and stderr while a line is written
	done int
	said time.Time
}

func (a *app) startProgress(verb string) *progress {
	p := &progress{a: a, verb: verb, said: time.Now()}
	if _, ok := terminal(a.err); ok {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(verb),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond))
	}
	return p
}

func (p *progress) add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if time.Since(p.said) >= 2*time.Second {
		p.said = time.Now()
		fmt.Fprintf(p.a.err, "%s %s\n", p.verb, humanize.Comma(int64(p.done)))
	}
}

func (p *progress) stop() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
