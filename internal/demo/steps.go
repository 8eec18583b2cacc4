package demo

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

// first has the gateway write a credential that the client does not have.
func (d *demo) first(ctx context.Context) error {
	if err := d.yaml("keys.yaml"); err != nil {
		return err
	}
	d.curl(chats, question)
	d.claim("the client, which sends no key, is answered", d.chat(ctx, ""), answered())
	d.claim("executed by the primary, which verifies the key of each request", d.primary.Executions(), int64(1))
	d.claim("refused by it", d.primary.Rejections(), int64(0))
	d.claim("the same request without a key, straight to the primary", d.straight(ctx, d.primary), reply("401"))
	return nil
}

// refusal has a policy refuse what the client asks for.
func (d *demo) refusal(ctx context.Context) error {
	if err := d.yaml("chat.yaml"); err != nil {
		return err
	}
	d.curl(embeddings, sample)
	before := d.asked()
	d.claim("the gateway itself answers, with its reason", d.ask(ctx, embeddings, sample, ""), reply("403 request_not_allowed"))
	d.claim("requests that reached a provider", d.asked()-before, int64(0))
	return nil
}

// asked is how many requests have reached a provider.
func (d *demo) asked() int64 { return d.primary.asked() + d.secondary.asked() }

// reload has an edit taken under load, and a broken one refused.
func (d *demo) reload(ctx context.Context) error {
	const file, good, wrong = "chat.yaml", "paths: [" + chats + ", " + embeddings + "]", "path: [" + chats + "]"
	s := d.begin(ctx, "reload")
	defer s.end()
	s.more(ctx, 40)
	if err := d.edit(file, "paths: ["+chats+"]", good); err != nil {
		return err
	}
	began, last := time.Now(), reply("")
	s.until(ctx, func() bool {
		last = d.ask(ctx, embeddings, sample, "")
		return last == "200"
	})
	d.say("in force after %d ms", time.Since(began).Milliseconds())
	d.claim("what was refused is answered, without a restart", last, reply("200"))
	d.print("\n")
	d.pause(ctx)
	return d.misspell(ctx, s, file, good, wrong)
}

// misspell breaks the file, and mends it.
func (d *demo) misspell(ctx context.Context, s *stream, file, good, wrong string) error {
	if err := d.edit(file, good, wrong); err != nil {
		return err
	}
	problems, err := d.verdict(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		p.File = filepath.Base(p.File)
		d.say("error: %s", p)
		d.claim("the object", p.Object, "EgressPolicy/ai/chat")
		d.claim("its field", p.Field, "spec.requests.path")
		d.claim("what to write instead", p.Mend, "did you mean paths?")
	}
	d.claim("problems that the gateway tells", len(problems), 1)
	s.more(ctx, 40)
	d.claim("the last good configuration serves: what it allows", d.ask(ctx, embeddings, sample, ""), reply("200"))
	d.claim("and what it does not", d.ask(ctx, responses, turn, ""), reply("403 request_not_allowed"))
	d.print("\n")
	if err := d.edit(file, wrong, good); err != nil {
		return err
	}
	problems, err = d.verdict(ctx)
	d.claim("problems once it is mended", len(problems), 0)
	return err
}

// failover kills the primary under load, and brings it back.
func (d *demo) failover(ctx context.Context) error {
	for _, name := range []string{"route.yaml", "tiers.yaml"} {
		if err := d.yaml(name); err != nil {
			return err
		}
	}
	s := d.begin(ctx, "failover")
	defer func() {
		s.end()
		d.claim("requests executed more than once, by both providers' ledger", len(d.ledger.Repeated()), 0)
	}()
	var asked int
	var executed int64
	from := func(f *far) { asked, executed = s.count(), f.Executions() }
	count := func(f *far) {
		n := s.count() - asked
		d.claim(fmt.Sprintf("answered by the %s, of %d requests", f.Name, n), f.Executions()-executed, int64(n))
	}
	s.between(func() { from(d.primary) })
	s.more(ctx, 100)
	var err error
	s.between(func() {
		count(d.primary)
		d.say("the primary is killed, between two requests")
		err = d.primary.Close()
		from(d.secondary)
	})
	if err != nil {
		return err
	}
	s.more(ctx, 100)
	s.between(func() { count(d.secondary) })
	d.pause(ctx)
	d.say("the primary is started again")
	if err := d.primary.start(); err != nil {
		return err
	}
	d.claim("the primary gets requests again", s.until(ctx, func() bool { return d.primary.Executions() >= 50 }), true)
	return nil
}

// noDoubleWork has the primary fail where nobody can know whether the work was done.
func (d *demo) noDoubleWork(ctx context.Context) error {
	for _, fault := range []struct {
		kind provider.FaultKind
		name string
		told string
	}{
		{provider.ResetHead, "reset", "The primary executes a request, then resets the connection."},
		{provider.StallHead, "stall", "The primary executes a request, then says nothing. timeouts.firstByte is 2s."},
	} {
		d.say("%s", fault.told)
		d.primary.SetFail(func(*http.Request) provider.Fault { return provider.Fault{Kind: fault.kind} })
		before := d.secondary.asked()
		d.claim("the client is told that nobody knows", d.chat(ctx, fault.name), reply("504 outcome_unknown"))
		d.claim("times that it was executed, by both providers' ledger", d.ledger.Executed(fault.name), 1)
		d.claim("requests that reached the secondary", d.secondary.asked()-before, int64(0))
		d.print("\n")
		d.pause(ctx)
	}
	d.say("The primary is well again.")
	d.primary.SetFail(nil)
	before := d.primary.Executions()
	s := d.begin(ctx, "well")
	s.more(ctx, 50)
	s.end()
	d.claim(fmt.Sprintf("answered by the primary, of %d requests", s.count()), d.primary.Executions()-before, int64(s.count()))
	d.claim("requests executed more than once, in the whole demo", len(d.ledger.Repeated()), 0)
	return nil
}
