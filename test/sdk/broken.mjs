// The official SDKs against a server, whose base URL is in SERVER, that ends every stream after its first word with the
// error event of a gateway. They must hand on the word, and then raise the error: neither hang nor take the answer as whole.
import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const server = process.env.SERVER;
assert.ok(server, 'SERVER is not set');

const bounds = { apiKey: 'none', maxRetries: 0, timeout: 30_000 };
const openai = new OpenAI({ baseURL: `${server}/v1`, ...bounds });
const anthropic = new Anthropic({ baseURL: server, ...bounds });
const hello = [{ role: 'user', content: 'Hello there' }];

// collect reads a stream's text until it ends or fails.
async function collect(stream, textOf) {
  let text = '';
  try {
    for await (const event of stream) text += textOf(event) ?? '';
  } catch (error) {
    return { text, error };
  }
  return { text, error: undefined };
}

function ofOpenAI({ text, error }) {
  assert.equal(text, 'Hello');
  assert.ok(error instanceof OpenAI.APIError, String(error));
  assert.equal(error.code, 'stream_idle');
  assert.match(error.message, /no event came for 300s/);
}

test('openai: chat', async () => {
  const stream = await openai.chat.completions.create({ model: 'm', messages: hello, stream: true });
  ofOpenAI(await collect(stream, (chunk) => chunk.choices[0]?.delta?.content));
});

test('openai: chat, collected by the SDK', async () => {
  await assert.rejects(openai.chat.completions.stream({ model: 'm', messages: hello }).finalChatCompletion(), OpenAI.APIError);
});

test('openai: responses', async () => {
  const stream = await openai.responses.create({ model: 'm', input: 'Hello there', stream: true });
  ofOpenAI(await collect(stream, (event) => event.type === 'response.output_text.delta' && event.delta || ''));
});

test('openai: responses, collected by the SDK', async () => {
  await assert.rejects(openai.responses.stream({ model: 'm', input: 'Hello there' }).finalResponse(), OpenAI.APIError);
});

function ofAnthropic({ text, error }) {
  assert.equal(text, 'Hello');
  assert.ok(error instanceof Anthropic.APIError, String(error));
  assert.equal(error.error.reason, 'stream_idle');
  assert.equal(error.error.error.type, 'timeout_error');
  assert.match(error.message, /no event came for 300s/);
}

test('anthropic: messages', async () => {
  const stream = await anthropic.messages.create({ model: 'm', max_tokens: 10, messages: hello, stream: true });
  ofAnthropic(await collect(stream, (event) => event.delta?.text));
});

test('anthropic: messages, collected by the SDK', async () => {
  await assert.rejects(anthropic.messages.stream({ model: 'm', max_tokens: 10, messages: hello }).finalMessage(), Anthropic.APIError);
});
