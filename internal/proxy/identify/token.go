package identify

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// The bounds of tokens and keys.
const (
	maxToken    = 4096 // bytes; Kubernetes' own have some 1,200
	maxKeys     = 64   // of a set
	minRSA      = 2048 // bits
	maxSkew     = 10 * time.Second
	cacheShards = 16
	maxVerified = 1024 // tokens remembered by a shard
)

// algorithms are those that Kubernetes and its external signers sign with (KEP-740). Neither "none" nor a symmetric one is
// among them.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// Verifier verifies ServiceAccount tokens of one issuer for one audience. It is for concurrent use.
type Verifier struct {
	source plan.TokenSource
	keys   map[string]jose.JSONWebKey // by id
	pods   *Pods
	cache  [cacheShards]struct {
		mu       sync.Mutex
		verified map[[sha256.Size]byte]*verified
	}
}

// verified is a token that has been found good.
type verified struct {
	by                        *Verifier
	sum                       [sha256.Size]byte
	namespace, serviceAccount string
	expires                   time.Time
	pod                       *Pod // that it is bound to; may be nil
}

// holds reports whether the token is still good: its time is not over, and its Pod has not ended.
func (v *verified) holds(now time.Time) bool {
	return now.Before(v.expires) && (v.pod == nil || !v.pod.life.ended.Load())
}

// NewVerifier reads the keys. A token that is bound to a Pod must be one of the Pods; where they are nil nothing is known of
// Pods, and it counts for what it says. The error says which keys cannot be used; the others are.
func NewVerifier(source *plan.TokenSource, pods *Pods) (*Verifier, error) {
	v := &Verifier{source: *source, keys: map[string]jose.JSONWebKey{}, pods: pods}
	if source.Issuer.Keys == "" {
		return v, nil
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(source.Issuer.Keys), &set); err != nil {
		return v, fmt.Errorf("keys of the issuer of tokens: %w", err)
	}
	var errs []error
	if len(set.Keys) > maxKeys {
		errs = append(errs, fmt.Errorf("keys of the issuer of tokens: there are %d, %d are used", len(set.Keys), maxKeys))
		set.Keys = set.Keys[:maxKeys]
	}
	for i, text := range set.Keys {
		var key jose.JSONWebKey
		err := key.UnmarshalJSON(text)
		if err == nil {
			err = usable(&key)
		}
		if _, twice := v.keys[key.KeyID]; twice && err == nil {
			err = errors.New("its id is another one's too")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("keys of the issuer of tokens: key %d: %w", i, err))
			continue
		}
		v.keys[key.KeyID] = key
	}
	return v, errors.Join(errs...)
}

// usable says what is wrong with a key.
func usable(key *jose.JSONWebKey) error {
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return errors.New("it is too short")
		}
	case *ecdsa.PublicKey:
	default:
		return errors.New("it is no public key of a kind that is used")
	}
	switch {
	case !key.Valid():
		return errors.New("it is not valid")
	case key.KeyID == "":
		return errors.New("it has no id")
	case key.Use != "" && key.Use != "sig":
		return errors.New("it is not for signatures")
	}
	return nil
}

// Same reports whether the verifier is of a source.
func (v *Verifier) Same(source *plan.TokenSource) bool { return v.source == *source }

// bearer is the token of a field; empty where it has none. A value of two fields is none.
func (v *Verifier) bearer(header *exchange.Header, proxy string) string {
	value := proxy
	if !exchange.EqualFold(v.source.Header, proxyAuthorization) {
		values := 0
		for _, f := range header.Fields() {
			if exchange.EqualFold(f.Name, v.source.Header) {
				value = f.Value
				values++
			}
		}
		if values != 1 {
			return ""
		}
	}
	const scheme = "Bearer "
	if len(value) <= len(scheme) || !exchange.EqualFold(value[:len(scheme)], scheme) {
		return ""
	}
	return strings.Trim(value[len(scheme):], " \t")
}

const proxyAuthorization = "Proxy-Authorization"

// room is where a token is hashed from.
var room = sync.Pool{New: func() any { return new([maxToken]byte) }}

func sumOf(token string) [sha256.Size]byte {
	b := room.Get().(*[maxToken]byte)
	defer room.Put(b)
	n := copy(b[:], token)
	sum := sha256.Sum256(b[:n])
	clear(b[:n])
	return sum
}

// verify is what a token says, if it is good; else nil. What the connection showed last is at hand.
func (v *Verifier) verify(token string, o *Origin, now time.Time) *verified {
	if token == "" || len(token) > maxToken {
		return nil
	}
	sum := sumOf(token)
	if o != nil {
		if last := o.token.Load(); last != nil && last.by == v && last.sum == sum {
			if last.holds(now) {
				return last
			}
			return nil
		}
	}
	found := v.known(sum)
	if found == nil {
		if found = v.read(token, now); found == nil {
			return nil
		}
		found.sum = sum
		v.remember(found, now)
	}
	if !found.holds(now) {
		return nil
	}
	if o != nil {
		o.token.Store(found)
	}
	return found
}

func (v *Verifier) known(sum [sha256.Size]byte) *verified {
	c := &v.cache[sum[0]%cacheShards]
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verified[sum]
}

func (v *Verifier) remember(found *verified, now time.Time) {
	c := &v.cache[found.sum[0]%cacheShards]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verified == nil {
		c.verified = map[[sha256.Size]byte]*verified{}
	}
	if len(c.verified) >= maxVerified {
		for sum, old := range c.verified {
			if !old.holds(now) {
				delete(c.verified, sum)
			}
		}
		if len(c.verified) >= maxVerified {
			clear(c.verified)
		}
	}
	c.verified[found.sum] = found
}

// bound are the claims that Kubernetes adds (KEP-1205).
type bound struct {
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"serviceaccount"`
		Pod *struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"pod"`
	} `json:"kubernetes.io"`
}

// read verifies a token: its signature, by a key that its header names, and every claim that there has to be.
func (v *Verifier) read(token string, now time.Time) *verified {
	if strings.Count(token, ".") != 2 {
		return nil
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return nil
	}
	key, ok := v.keys[parsed.Headers[0].KeyID]
	if !ok || key.Algorithm != "" && key.Algorithm != parsed.Headers[0].Algorithm {
		return nil
	}
	var claims jwt.Claims
	var of bound
	if parsed.Claims(key.Key, &claims, &of) != nil {
		return nil
	}
	k := &of.Kubernetes
	switch {
	case claims.Issuer == "" || claims.Issuer != v.source.Issuer.URL:
		return nil
	case v.source.Audience == "" || !claims.Audience.Contains(v.source.Audience):
		return nil
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()):
		return nil
	case claims.NotBefore != nil && now.Add(maxSkew).Before(claims.NotBefore.Time()):
		return nil
	case claims.IssuedAt != nil && now.Add(maxSkew).Before(claims.IssuedAt.Time()):
		return nil
	case !named(k.Namespace) || !named(k.ServiceAccount.Name):
		return nil
	case claims.Subject != "system:serviceaccount:"+k.Namespace+":"+k.ServiceAccount.Name:
		return nil
	}
	found := &verified{by: v, namespace: k.Namespace, serviceAccount: k.ServiceAccount.Name, expires: claims.Expiry.Time()}
	if k.Pod != nil && v.pods != nil {
		if found.pod = v.pods.byToken(k.Namespace, k.Pod.Name, k.Pod.UID, k.ServiceAccount.Name); found.pod == nil {
			return nil
		}
	}
	return found
}

// named reports whether a claim can be a Kubernetes name (RFC 1123), so that no other text gets into logs and labels.
func named(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}
