// Clients of HTTP/1.1 against the gateway: fetch as Node.js has it, undici as a proxy's client, and node:http for what fetch
// does not show.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import test from 'node:test';
import { fetch as undici, ProxyAgent } from 'undici';
import { pages } from './pages.mjs';

const plain = process.env.GATEWAY;
const secure = process.env.GATEWAY_TLS;
assert.ok(plain && secure, 'GATEWAY or GATEWAY_TLS is not set');

pages('fetch', `${plain}/web`, fetch);
pages('fetch over TLS', `${secure}/web`, fetch);

const proxy = new ProxyAgent({ uri: plain, proxyTunnel: false });
pages('fetch by a proxy', 'http://web.test/web', (url, options) => undici(url, { ...options, dispatcher: proxy }));
test.after(() => proxy.close());

// ask sends with node:http, and gives all that came of it.
const ask = (url, options, write) => new Promise((resolve, reject) => {
  const got = { hints: [], continued: false };
  const request = (url.startsWith('https') ? https : http).request(url, options);
  request.on('continue', () => { got.continued = true; request.end('hello'); });
  request.on('information', (hint) => got.hints.push(hint));
  request.on('error', reject);
  request.on('response', async (answer) => {
    got.answer = answer;
    got.body = '';
    for await (const piece of answer) got.body += piece;
    resolve(got);
  });
  write(request);
});

for (const [name, base] of [['node:http', plain], ['node:https', secure]]) {
  test(`${name}: 100 Continue`, async () => {
    const got = await ask(`${base}/web/echo`, { method: 'POST', headers: { expect: '100-continue', 'content-length': 5 } }, (r) => r.flushHeaders());
    assert.ok(got.continued);
    assert.equal(JSON.parse(got.body).body, 'hello');
  });

  test(`${name}: early hints`, async () => {
    const got = await ask(`${base}/web/hinted`, {}, (r) => r.end());
    assert.deepEqual(got.hints.map((h) => [h.statusCode, h.headers.link]), [[103, '</style.css>']]);
    assert.equal(got.answer.statusCode, 200);
  });

  test(`${name}: trailers`, async () => {
    const got = await ask(`${base}/web/trailers`, { method: 'POST', headers: { te: 'trailers', connection: 'te', trailer: 'x-mine' } }, (r) => {
      r.write('hello');
      r.addTrailers({ 'x-mine': '1' });
      r.end();
    });
    assert.equal(got.body, 'hello');
    assert.equal(got.answer.trailers['x-sum'], '5');
  });
}
