// The official SDKs against a gateway whose base URL is in GATEWAY. They hold no key that is worth anything: the
// gateway writes the real one.
import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { H2CClient, fetch as undici } from 'undici';

const gateway = process.env.GATEWAY;
assert.ok(gateway, 'GATEWAY is not set');

// With H2C set, over HTTP/2 by prior knowledge.
const client = process.env.H2C && new H2CClient(gateway);
const fetch = client && ((url, options) => undici(url, { ...options, dispatcher: client }));
const bounds = { maxRetries: 0, timeout: 60_000, fetch };
const openai = (path = '/openai/v1') => new OpenAI({ baseURL: gateway + path, apiKey: 'none', ...bounds });
const anthropic = (path = '/anthropic') => new Anthropic({ baseURL: gateway + path, apiKey: 'none', ...bounds });

const model = 'gpt-4o-mini';
const claude = 'claude-sonnet-5';
const hello = [{ role: 'user', content: 'Hello there' }];
const large = 'lorem ipsum '.repeat((5 << 20) / 12);

test('openai: chat', async () => {
  const answer = await openai().chat.completions.create({ model, messages: hello });
  assert.match(answer.choices[0].message.content, /Hello there/);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.ok(answer.usage.total_tokens > 0);
});

test('openai: chat, streamed', async () => {
  const stream = await openai().chat.completions.create({
    model, messages: hello, stream: true, stream_options: { include_usage: true },
  });
  let text = '';
  let usage;
  let pieces = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
    pieces += 1;
  }
  assert.match(text, /Hello there/);
  assert.ok(pieces > 2, `${pieces} pieces`);
  assert.ok(usage.completion_tokens > 0);
});

test('openai: a stream that is left does not harm the next call', async () => {
  const client = openai();
  const stream = await client.chat.completions.create({ model, messages: hello, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break; // aborts the request
  }
  const answer = await client.chat.completions.create({ model, messages: hello });
  assert.match(answer.choices[0].message.content, /Hello there/);
});

test('openai: embeddings', async () => {
  const answer = await openai().embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data[1].embedding.length > 0);
  assert.equal(typeof answer.data[1].embedding[0], 'number');
});

test('openai: responses', async () => {
  const answer = await openai().responses.create({ model, input: 'Hello there' });
  assert.match(answer.output_text, /Hello there/);
  assert.equal(answer.status, 'completed');
});

test('openai: responses, streamed', async () => {
  let text = '';
  let last;
  for await (const event of await openai().responses.create({ model, input: 'Hello there', stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta;
    last = event.type;
  }
  assert.match(text, /Hello there/);
  assert.equal(last, 'response.completed');
});

test('openai: a prompt of 5 MB', async () => {
  const answer = await openai().chat.completions.create({ model, messages: [{ role: 'user', content: large }] });
  assert.ok(answer.usage.prompt_tokens > 100_000, `${answer.usage.prompt_tokens} tokens`);
});

test('openai: 16 calls at once', async () => {
  const client = openai();
  const answers = await Promise.all(Array.from({ length: 16 }, (_, i) =>
    client.chat.completions.create({ model, messages: [{ role: 'user', content: `call ${i}.` }] })));
  answers.forEach((answer, i) => assert.match(answer.choices[0].message.content, new RegExp(`call ${i}\\.`)));
});

test("openai: the provider's own refusal comes through as it is", async () => {
  await assert.rejects(openai().chat.completions.create({ model }), (err) => {
    assert.ok(err instanceof OpenAI.BadRequestError, String(err));
    assert.equal(err.status, 400);
    assert.equal(err.code, 'missing_required_parameter');
    assert.equal(err.param, 'messages');
    return true;
  });
});

test('openai: a refusal of the gateway', async () => {
  await assert.rejects(openai('/nowhere/v1').chat.completions.create({ model, messages: hello }), (err) => {
    assert.ok(err instanceof OpenAI.NotFoundError, String(err));
    assert.equal(err.status, 404);
    assert.equal(err.code, 'route_not_found');
    assert.equal(err.type, 'route_not_found');
    assert.equal(err.param, null);
    assert.equal(err.error.code, 'route_not_found');
    assert.match(err.message, /^404 no route takes this host, path and method/);
    assert.match(err.headers.get('content-type'), /^application\/problem\+json/);
    assert.ok(err.headers.get('ebbgate-request-id'));
    return true;
  });
});

test('openai: a refusal of the gateway to a stream', async () => {
  await assert.rejects(openai('/nowhere/v1').chat.completions.create({ model, messages: hello, stream: true }),
    (err) => err instanceof OpenAI.NotFoundError && err.code === 'route_not_found');
});

test('anthropic: messages', async () => {
  const answer = await anthropic().messages.create({ model: claude, max_tokens: 100, messages: hello });
  assert.match(answer.content[0].text, /Hello there/);
  assert.ok(answer.usage.output_tokens > 0);
});

test('anthropic: messages, streamed', async () => {
  const stream = anthropic().messages.stream({ model: claude, max_tokens: 100, messages: hello });
  let pieces = 0;
  stream.on('text', () => { pieces += 1; });
  const answer = await stream.finalMessage();
  assert.match(answer.content[0].text, /Hello there/);
  assert.equal(answer.stop_reason, 'end_turn');
  assert.ok(pieces > 2, `${pieces} pieces`);
});

test('anthropic: a prompt of 5 MB', async () => {
  const answer = await anthropic().messages.create({
    model: claude, max_tokens: 10, messages: [{ role: 'user', content: large }],
  });
  assert.ok(answer.usage.input_tokens > 100_000, `${answer.usage.input_tokens} tokens`);
});

test('anthropic: a refusal of the gateway', async () => {
  await assert.rejects(anthropic('/nowhere').messages.create({ model: claude, max_tokens: 10, messages: hello }), (err) => {
    assert.ok(err instanceof Anthropic.NotFoundError, String(err));
    assert.equal(err.status, 404);
    assert.equal(err.error.reason, 'route_not_found');
    assert.equal(err.error.error.type, 'route_not_found');
    assert.equal(err.type, 'route_not_found');
    return true;
  });
});
