// Package issuer finds out who signs the ServiceAccount tokens of a cluster: the issuer's name and public keys, as the API
// server tells of them, again and again, since keys are rotated. It verifies no token: proxies do. The controller calls it.
package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/source/reach"
)

const (
	configuration = "/.well-known/openid-configuration" // OpenID Connect Discovery, which the API server has its own form of
	keys          = "/openid/v1/jwks"
	every         = 30 * time.Second // between two looks: a token signed by a new key comes soon after it
	patience      = 10 * time.Second // with one answer
	maxAnswer     = 64 << 10         // bytes
	grumbles      = time.Minute      // between two lines of log about what fails
)

// Rules are the rights that a Watcher needs in the whole cluster, and no more.
func Rules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{NonResourceURLs: []string{configuration, keys}, Verbs: []string{"get"}}}
}

// Config is what a Watcher is made of. Client and Logger are required.
type Config struct {
	Client rest.Interface
	Logger *slog.Logger
	Every  time.Duration // between two looks; 0: 30 s
}

// Watcher asks an API server.
type Watcher struct{ config Config }

// New makes a Watcher that has asked nothing.
func New(c Config) *Watcher {
	if c.Every == 0 {
		c.Every = every
	}
	return &Watcher{c}
}

// Run calls changed with the issuer once it is known, or with an empty one where the first question fails, and after each
// change, until ctx ends. While it cannot be asked, what was known stays. It calls it from one goroutine.
func (w *Watcher) Run(ctx context.Context, changed func(*plan.Issuer)) {
	var last plan.Issuer
	var grumbled time.Time
	ticker := time.NewTicker(w.config.Every)
	defer ticker.Stop()
	for first := true; ; first = false {
		newest, err := w.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && newest != last, first:
			last = newest
			changed(&newest)
		}
		if err != nil && time.Since(grumbled) >= grumbles && !reach.Told(err) {
			grumbled = time.Now()
			w.config.Logger.Error("ask who signs the tokens of ServiceAccounts: what was known stays", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ask asks the API server for both parts.
func (w *Watcher) ask(ctx context.Context) (plan.Issuer, error) {
	var names struct {
		Issuer string `json:"issuer"`
	}
	text, err := w.get(ctx, configuration)
	if err != nil {
		return plan.Issuer{}, err
	}
	if err := json.Unmarshal(text, &names); err != nil {
		return plan.Issuer{}, fmt.Errorf("read %s: %w", configuration, err)
	}
	if names.Issuer == "" {
		return plan.Issuer{}, fmt.Errorf("read %s: it names no issuer", configuration)
	}
	if text, err = w.get(ctx, keys); err != nil {
		return plan.Issuer{}, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return plan.Issuer{}, fmt.Errorf("read %s: %w", keys, err)
	}
	if len(set.Keys) == 0 {
		return plan.Issuer{}, fmt.Errorf("read %s: no key is in it", keys)
	}
	text, err = json.Marshal(set) // nothing but the keys, spelt alike each time
	return plan.Issuer{URL: names.Issuer, Keys: string(text)}, err
}

// get is an answer of bounded size.
func (w *Watcher) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := w.config.Client.Get().AbsPath(path).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	if len(text) > maxAnswer {
		return nil, errors.New(path + " is too long")
	}
	return text, nil
}
