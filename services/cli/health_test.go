package cli

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestHealthSaysWhatAProcessWaitsFor(t *testing.T) {
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"ready":false,"waitingFor":["the brokers","log execution.0"]}`))
			return
		}
		_, _ = w.Write([]byte(`{"ready":true,"waitingFor":[]}`))
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	s := httptest.NewServer(mux)
	defer s.Close()

	wantResult(t, runIn(t, "", "health", s.URL), exitFailed, "waits for the brokers; log execution.0")
	wantResult(t, runIn(t, "", "health", s.URL+"/broken"), exitFailed, "500")
	wantResult(t, runIn(t, "", "health", s.URL+"/healthz"), exitDone, "ready")
	wantResult(t, runIn(t, "", "health", s.Listener.Addr().String(), "--wait", "30s"), exitDone, "ready")
	if asked.Load() != 3 {
		t.Errorf("it was asked %d times; it was ready at the third", asked.Load())
	}
	wantResult(t, runIn(t, "", "health", s.URL+"/", "-o", "json"), exitDone, `"waitingFor": []`)
	wantResult(t, runIn(t, "", "health", s.URL+"/nothing"), exitRefused, "no monitor")
	wantResult(t, runIn(t, "", "health", "ftp://x"), exitUsage, "http://HOST:PORT")
	s.Close()
	wantResult(t, runIn(t, "", "health", s.URL), exitUnavailable, "refused")
}
