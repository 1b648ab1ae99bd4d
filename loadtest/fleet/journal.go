package fleet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/droverhq/drover/loadtest/agent"
)

// journal appends facts to a file, unbuffered: when write returns they are the operating system's, and survive the
// process. They do not survive a power cut.
type journal struct {
	mu   sync.Mutex // guards the file and the buffer, held for one write
	file *os.File   // nil: facts are dropped
	buf  bytes.Buffer
	line *json.Encoder
}

// openJournal reads what stands in the file at path, and opens it for more. A last line that is cut off is removed:
// what it announced was never done.
func openJournal(path string, recall func(agent.Fact) error) (*journal, error) {
	j := &journal{}
	if path == "" {
		return j, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	whole, err := readJournal(file, recall)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	j.file = file
	j.line = json.NewEncoder(&j.buf)
	return j, nil
}

func (j *journal) write(facts []agent.Fact) error {
	if j.file == nil || len(facts) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf.Reset()
	for i := range facts {
		if err := j.line.Encode(&facts[i]); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	if _, err := j.file.Write(j.buf.Bytes()); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
	}
}

// lineMax bounds a journal's line, in bytes.
const lineMax = 64 << 10

// ReadJournal hands every fact of a journal to each, in order. A last line that is cut off, as by a kill, is passed
// over; any other line that is not a fact is an error with its number, as is one that each returns.
func ReadJournal(r io.Reader, each func(agent.Fact) error) error {
	_, err := readJournal(r, each)
	return err
}

// readJournal also tells how many bytes the whole lines have.
func readJournal(r io.Reader, each func(agent.Fact) error) (whole int64, err error) {
	reader := bufio.NewReaderSize(r, lineMax)
	for number := 1; ; number++ {
		line, err := reader.ReadSlice('\n')
		if err == io.EOF {
			return whole, nil
		}
		var f agent.Fact
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return whole, fmt.Errorf("line %d has more than %d bytes", number, lineMax)
		case err != nil:
			return whole, err
		default:
			err = json.Unmarshal(line, &f)
		}
		if err == nil && (f.What == "" || f.Thing == "") {
			err = errors.New("a fact without a kind or a thing")
		}
		if err == nil {
			err = each(f)
		}
		if err != nil {
			return whole, fmt.Errorf("line %d: %w", number, err)
		}
		whole += int64(len(line))
	}
}
