package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
)

// printJSON writes one document.
func (a *app) printJSON(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = a.out.Write(out.Bytes())
	return err
}

// printLine writes one document on a line of its own, of a stream of them.
func (a *app) printLine(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(data, '\n'))
	return err
}

// marshal leaves <, > and & as they are: this is for terminals and programs, not for web pages.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// field is one line of a description.
type field struct{ name, value string }

// printFields writes a description: one field a line, those without a value left out.
func (a *app) printFields(fields ...field) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", f.name, f.value)
		}
	}
	return w.Flush()
}

// list writes rows as they come, page by page, so that a long one needs no memory: a table, or one JSON document that
// holds them under a name. Its column widths are those of a page.
type list[T any] struct {
	a       *app
	name    string // of the array in the JSON
	columns []string
	row     func(T) []string
	view    func(T) any

	written int
	begun   bool
}

// page writes some rows.
func (l *list[T]) page(rows []T) error {
	if l.a.json() {
		return l.pageJSON(rows)
	}
	w := tabwriter.NewWriter(l.a.out, 0, 8, 2, ' ', 0)
	if !l.begun {
		fmt.Fprintln(w, strings.Join(l.columns, "\t"))
	}
	l.begun = true
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(l.row(r), "\t"))
	}
	l.written += len(rows)
	return w.Flush()
}

func (l *list[T]) pageJSON(rows []T) error {
	var out bytes.Buffer
	if !l.begun {
		fmt.Fprintf(&out, "{%q: [", l.name)
	}
	l.begun = true
	for _, r := range rows {
		data, err := marshal(l.view(r))
		if err != nil {
			return err
		}
		if l.written > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n  ")
		out.Write(data)
		l.written++
	}
	_, err := l.a.out.Write(out.Bytes())
	return err
}

// end writes what comes after the last row.
func (l *list[T]) end() error {
	if !l.a.json() {
		if l.written == 0 {
			_, err := fmt.Fprintln(l.a.err, "drover: there are none")
			return err
		}
		return nil
	}
	if !l.begun {
		if err := l.pageJSON(nil); err != nil {
			return err
		}
	}
	_, err := io.WriteString(l.a.out, "\n]}\n")
	return err
}

// pages fetches page after page into the list until there is none, or limit rows are written; 0 is no limit.
func (l *list[T]) pages(limit int, fetch func(size uint32, token string) (rows []T, next string, err error)) error {
	const pageMax = 1000
	if limit < 0 {
		return usagef("--limit %d: 0 or more is needed; 0 is all", limit)
	}
	for token := ""; ; {
		size := pageMax
		if limit > 0 {
			size = min(size, limit-l.written)
		}
		rows, next, err := fetch(uint32(size), token)
		if err != nil {
			return err
		}
		if err := l.page(rows); err != nil {
			return err
		}
		if next == "" || limit > 0 && l.written >= limit {
			return l.end()
		}
		token = next
	}
}

// plainNumber is a number as it stands, for names and versions.
func plainNumber[N uint32 | uint64](n N) string { return strconv.FormatUint(uint64(n), 10) }

// plural: "1 thing", "2 things".
func plural[N int | int64 | uint32 | uint64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		word = stem + "ie"
	}
	return humanize.Comma(int64(n)) + " " + word + "s"
}
