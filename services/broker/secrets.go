package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	caLife          = 10 * 365 * 24 * time.Hour
	certificateLife = 2 * 365 * 24 * time.Hour
	// backdate is how far clocks may be behind the one that signs.
	backdate = time.Hour
)

// SecretFile is one file of CreateSecrets.
type SecretFile struct {
	Name string `json:"file"`
	// Made says that it was written now; else it was there and is as it was.
	Made bool `json:"made"`
	// Completed says that it was there, from an earlier version, and that passwords which it lacked were added now.
	Completed bool `json:"completed,omitempty"`
	// For says who needs it.
	For string `json:"for"`
}

// passwordFiles are the files of passwords, and whose passwords stand in each.
var passwordFiles = []struct {
	name, purpose string
	users         []string
}{
	{"hub.json", "every node of the hub: all passwords", HubUsers},
	{"service.json", "drover serve: the passwords of service, front, inbox, http, system, and the seal of access keys", ServiceUsers},
	{"leaf.json", "a device leaf: the password of its link", LeafUsers},
	{"client.json", "operators and integrators: the password of client", ClientUsers},
}

// CreateSecrets makes what is missing in a folder: the passwords of the hub's users, a CA, and a certificate for the
// listeners of all brokers, in the names of these hosts and of this machine's loopback. What is there stays as it is, but that
// passwords an earlier version did not know are added; a certificate that lacks one of the hosts is an error
// (RenewCertificate signs another).
//
// A crash leaves some of the files, each whole; another call makes the rest.
func CreateSecrets(dir string, hosts []string) ([]SecretFile, error) {
	if err := checkHosts(hosts); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := createPasswords(dir)
	if err != nil {
		return nil, err
	}
	ca, made, err := openCA(dir)
	if err != nil {
		return nil, err
	}
	files = append(files,
		SecretFile{Name: "ca.key", Made: made, For: "nobody but who signs certificates: keep it off the machines"},
		SecretFile{Name: "ca.crt", Made: made, For: "everybody who connects (--tls-ca); it is no secret"})
	made, err = ca.createCertificate(dir, hosts)
	if err != nil {
		return nil, err
	}
	return append(files,
		SecretFile{Name: "broker.key", Made: made, For: "the brokers (--tls-key)"},
		SecretFile{Name: "broker.crt", Made: made, For: "the brokers (--tls-cert)"}), nil
}

// RenewCertificate signs the brokers' certificate again, with a new key: for the names that it has and these. Brokers show
// it once they are started again; those that show the old one are trusted as before, until it ends.
//
// A crash between its two files leaves a key and a certificate that do not fit, which a broker refuses at its start.
func RenewCertificate(dir string, hosts []string) (until time.Time, err error) {
	if err := checkHosts(hosts); err != nil {
		return until, err
	}
	ca, err := readCA(dir)
	if err != nil {
		return until, err
	}
	old, err := readCertificate(filepath.Join(dir, "broker.crt"))
	if err != nil {
		return until, err
	}
	return ca.sign(dir, append(namesOf(old), hosts...))
}

func checkHosts(hosts []string) error {
	for _, h := range hosts {
		if !hostName.MatchString(h) {
			return fmt.Errorf("%q is not the name or address of a host", h)
		}
	}
	return nil
}

// createPasswords makes the files of passwords that are missing, and adds to the others what an earlier version did not know.
// hub.json comes first: the others are taken from it, now or by the next call.
func createPasswords(dir string) ([]SecretFile, error) {
	all, err := ReadAuth(filepath.Join(dir, "hub.json"))
	if errors.Is(err, fs.ErrNotExist) {
		for _, f := range passwordFiles[1:] {
			if _, err := os.Stat(filepath.Join(dir, f.name)); err == nil {
				return nil, fmt.Errorf("%s holds %s, and hub.json, which it was taken from, is missing: put that back, or take another folder", dir, f.name)
			}
		}
	} else if err != nil {
		return nil, err
	}
	all.draw()
	var files []SecretFile
	contents := map[string]Auth{} // of the files to write
	for _, f := range passwordFiles {
		file := SecretFile{Name: f.name, For: f.purpose}
		want := all.only(f.users)
		have, err := ReadAuth(filepath.Join(dir, f.name))
		file.Made = errors.Is(err, fs.ErrNotExist)
		if err != nil && !file.Made {
			return nil, err
		}
		file.Completed = have.fill(want) && !file.Made
		if have != want {
			return nil, fmt.Errorf("%s and hub.json do not hold the same passwords", filepath.Join(dir, f.name))
		}
		if file.Made || file.Completed {
			contents[f.name] = want
		}
		files = append(files, file)
	}
	for _, f := range passwordFiles {
		if auth, changed := contents[f.name]; changed {
			if err := auth.write(filepath.Join(dir, f.name)); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// authority signs.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// openCA reads the CA of a folder, or makes it.
func openCA(dir string) (ca authority, made bool, err error) {
	ca, err = readCA(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, false, err
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.crt")); err == nil {
		return ca, false, fmt.Errorf("%s holds ca.crt and not its key: put ca.key back, or take another folder", dir)
	}
	// A key without its certificate is what a crash between the two left.
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); err == nil {
		return ca, false, fmt.Errorf("%s holds ca.key and not its certificate: put ca.crt back; or, if nothing was ever signed with it, remove ca.key", dir)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Drover CA"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	ca.key, ca.certificate, err = authority{}.issue(dir, "ca", template, caLife)
	if err != nil {
		return ca, false, err
	}
	return ca, true, os.Chmod(filepath.Join(dir, "ca.crt"), 0o644)
}

func readCA(dir string) (authority, error) {
	certificate, err := readCertificate(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return authority{}, err
	}
	file := filepath.Join(dir, "ca.key")
	block, err := readPEM(file)
	if err != nil {
		return authority{}, err
	}
	key, err := x509.ParseECPrivateKey(block)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", file, err)
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return authority{}, fmt.Errorf("%s is not the key of ca.crt", file)
	}
	return authority{certificate, key}, nil
}

func (ca authority) createCertificate(dir string, hosts []string) (made bool, err error) {
	file := filepath.Join(dir, "broker.crt")
	have, err := readCertificate(file)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := ca.sign(dir, hosts)
		return true, err
	}
	if err != nil {
		return false, err
	}
	for _, h := range hosts {
		if have.VerifyHostname(h) != nil {
			return false, fmt.Errorf("%s is there and is not for %s but for %s: `drover secrets renew` signs another", file, h, strings.Join(namesOf(have), ", "))
		}
	}
	return false, nil
}

// sign makes broker.key and broker.crt, for these hosts and loopback. The nodes of a hub show it to each other as well,
// so it is one of a client too.
func (ca authority) sign(dir string, hosts []string) (until time.Time, err error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Drover broker"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	hosts = append([]string{"localhost", "127.0.0.1", "::1"}, hosts...)
	slices.Sort(hosts)
	for _, h := range slices.Compact(hosts) {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	_, certificate, err := ca.issue(dir, "broker", template, certificateLife)
	if err != nil {
		return until, err
	}
	return certificate.NotAfter, nil
}

// issue draws a key, signs its certificate (with itself, if there is no CA yet), and writes <name>.key and then <name>.crt.
func (ca authority) issue(dir, name string, template *x509.Certificate, life time.Duration) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template.NotBefore, template.NotAfter = now.Add(-backdate), now.Add(life)
	if ca.key == nil {
		ca = authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign %s.crt: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, name)
	if err := writeSecret(path+".key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})); err != nil {
		return nil, nil, err
	}
	return key, certificate, writeSecret(path+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func readCertificate(file string) (*x509.Certificate, error) {
	block, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return certificate, nil
}

func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", file)
	}
	return block.Bytes, nil
}
