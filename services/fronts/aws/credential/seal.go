package credential

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a secret access key. However it is printed, logged or put into JSON, it does not show: string(secret) does.
type Secret string

const redacted = "(secret)"

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// openSeal makes the cipher that seals secrets: AES-256-GCM, with a random nonce for each.
func openSeal(seal string) (cipher.AEAD, error) {
	if seal == "" {
		return nil, errors.New("access keys: the seal is missing; `drover secrets create` adds it to service.json")
	}
	key, err := hkdf.Key(sha256.New, []byte(seal), nil, "drover access keys", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// open is the secret of an id. A value that was sealed for another id, or under another seal, is an error.
func (s *Store) open(id string, sealed []byte) ([]byte, error) {
	if len(sealed) < s.seal.Overhead() {
		return nil, errors.New("there is no secret")
	}
	return s.seal.Open(nil, nil, sealed, []byte(id))
}
