package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS names the files, in PEM, by which a listener speaks TLS: its certificate and the key of that; and, of a hub, who
// signed the certificates of its nodes.
type TLS struct{ Cert, Key, CA string }

func (t TLS) on() bool { return t != TLS{} }

// check reads the files as the server will, for an error that names the one at fault.
func (t TLS) check() error {
	if !t.on() {
		return nil
	}
	if t.Cert == "" || t.Key == "" {
		return errors.New("TLS needs a certificate and its key (--tls-cert, --tls-key)")
	}
	if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		return fmt.Errorf("the certificate %s with the key %s: %w", t.Cert, t.Key, err)
	}
	return nil
}

func (t TLS) values() map[string]string {
	return map[string]string{"TLS_CERT": t.Cert, "TLS_KEY": t.Key, "TLS_CA": t.CA}
}

// ReadCA makes the TLS configuration of who connects to a hub: it trusts what the CA in this file has signed, and
// nothing else.
func ReadCA(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the CA: %s holds no certificate in PEM", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
