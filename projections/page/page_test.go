package page

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func TestPagesNameEveryRowOnce(t *testing.T) {
	s := rows(t, 25)
	for _, limit := range []uint32{1, 2, 5, 24, 25, 26, 0} {
		var got []string
		p := &v1.Page{Limit: limit}
		for pages := 0; ; pages++ {
			items, next, err := List(s, []byte("a/"), p, name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, items...)
			if next == "" {
				break
			}
			if limit > 0 && len(items) != int(limit) {
				t.Fatalf("limit %d: a page of %d has a successor", limit, len(items))
			}
			p.Token = next
			if pages > 30 {
				t.Fatal("the pages do not end")
			}
		}
		if len(got) != 25 || got[0] != "a/000" || got[24] != "a/024" {
			t.Errorf("limit %d: %q", limit, got)
		}
	}
}

func TestRowsWrittenBetweenPagesMoveNothing(t *testing.T) {
	s := rows(t, 4)
	first, next, err := List(s, []byte("a/"), &v1.Page{Limit: 2}, name)
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	b.Set([]byte("a/000x"), nil) // before the second page
	b.Delete([]byte("a/001"))    // the row that the token names
	b.Set([]byte("a/002x"), nil) // within it
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	second, _, err := List(s, []byte("a/"), &v1.Page{Limit: 10, Token: next}, name)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(first, second); got != "[a/000 a/001] [a/002 a/002x a/003]" {
		t.Error(got)
	}
}

func TestAPageOfAFilterThatPassesNothingEnds(t *testing.T) {
	const all = ScanMax + 10
	s := rows(t, all)
	looked, pages := 0, 0
	for p := (&v1.Page{}); ; pages++ {
		items, next, err := List(s, []byte("a/"), p, func(key, _ []byte) (string, bool) { looked++; return "", false })
		if err != nil || len(items) != 0 {
			t.Fatal(items, err)
		}
		if next == "" {
			break
		}
		p.Token = next
	}
	if looked != all || pages != 1 {
		t.Errorf("looked at %d rows in %d pages before the last", looked, pages)
	}
}

func TestAPageOfLargeRowsFitsIntoAMessage(t *testing.T) {
	s, big := rows(t, 200), strings.Repeat("x", 10<<10)
	got := 0
	for p := (&v1.Page{Limit: LimitMax}); ; {
		items, next, err := List(s, []byte("a/"), p, func(key, _ []byte) (*v1.JobRow, bool) {
			return &v1.JobRow{JobId: string(key), Description: big}, true
		})
		if err != nil {
			t.Fatal(err)
		}
		got += len(items)
		if bytes := len(items) * len(big); bytes > BytesMax+len(big) {
			t.Errorf("a page of %d bytes", bytes)
		}
		if next == "" {
			break
		}
		p.Token = next
	}
	if got != 200 {
		t.Errorf("%d rows of 200", got)
	}
}

func TestLimitsBeyondThePageAreRefused(t *testing.T) {
	for limit, want := range map[uint32]int{0: LimitDefault, 1: 1, LimitMax: LimitMax} {
		if n, err := Limit(&v1.Page{Limit: limit}); n != want || err != nil {
			t.Errorf("limit %d is %d, %v", limit, n, err)
		}
	}
	_, _, err := List(rows(t, 1), []byte("a/"), &v1.Page{Limit: LimitMax + 1}, name)
	refused(t, err, "maxResults")
}

func TestTokensOfOtherListsAreRefused(t *testing.T) {
	s := rows(t, 3)
	_, next, err := List(s, []byte("a/"), &v1.Page{Limit: 1}, name)
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	for _, token := range []string{"x", "!!", "bm9uc2Vuc2U", next + "=", next + "\n", strings.Repeat("A", 600)} {
		_, _, err := List(s, []byte("a/"), &v1.Page{Token: token}, name)
		refused(t, err, "nextToken")
	}
	_, _, err = List(s, []byte("b/"), &v1.Page{Token: next}, name)
	refused(t, err, "nextToken")
}

func TestADamagedRowPanicsWithAFailure(t *testing.T) {
	defer func() {
		if f, ok := recover().(*kv.Failure); !ok {
			t.Errorf("want a failure, got %v", f)
		}
	}()
	Row[v1.JobRow]([]byte{0xff})
}

func FuzzTokensAreRefusedOrGoOnWithinTheList(f *testing.F) {
	s := rows(f, 3)
	f.Add("YS8wMDE")
	f.Add(encode([]byte("a/")))
	f.Add(encode([]byte("b/9")))
	f.Fuzz(func(t *testing.T, token string) {
		items, _, err := List(s, []byte("a/"), &v1.Page{Token: token}, name)
		if err != nil {
			refused(t, err, "nextToken")
		}
		for _, i := range items {
			if !strings.HasPrefix(i, "a/") {
				t.Fatalf("the token %q leads to %q", token, i)
			}
		}
		if key, err := decode(token); err == nil && token != "" && encode(key) != token {
			t.Fatalf("%q and %q are one token", token, encode(key))
		}
	})
}

func name(key, _ []byte) (string, bool) { return string(key), true }

func rows(t testing.TB, n int) *kv.Memory {
	m := kv.NewMemory()
	b := m.NewBatch()
	for i := range n {
		b.Set(fmt.Appendf(nil, "a/%03d", i), nil)
	}
	b.Set([]byte("b/000"), nil)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return m
}

func refused(t testing.TB, err error, field string) {
	t.Helper()
	var r *v1.Refusal
	if !errors.As(err, &r) || r.Code != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST || r.Field != field {
		t.Errorf("want a refusal of %s, got %v", field, err)
	}
}
