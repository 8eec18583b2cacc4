// Clients of HTTP/2 against the gateway: undici, which fetch is made of, and node:http2 for what fetch does not show.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import test from 'node:test';
import { Agent, fetch as undici } from 'undici';
import { pages } from './pages.mjs';

const plain = process.env.GATEWAY;
const secure = process.env.GATEWAY_TLS;
assert.ok(plain && secure && process.env.NAMES, 'GATEWAY, GATEWAY_TLS or NAMES is not set');
const names = process.env.NAMES.split(',');

const agent = new Agent({ allowH2: true });
test.after(() => agent.close());
for (const name of names) pages(`undici to ${name}`, `${secure}/${name}`, (url, options) => undici(url, { ...options, dispatcher: agent }));

// ask sends on a session, and gives all that came of it.
const ask = (session, fields, write) => new Promise((resolve, reject) => {
  const got = { hints: [], trailers: {}, body: '' };
  const stream = session.request(fields, { waitForTrailers: true });
  stream.on('continue', () => { got.continued = true; stream.end('hello'); });
  stream.on('headers', (hint) => got.hints.push(hint));
  stream.on('response', (head) => { got.head = head; });
  stream.on('trailers', (trailers) => { got.trailers = trailers; });
  stream.on('wantTrailers', () => stream.sendTrailers(got.mine ?? {}));
  stream.on('data', (piece) => { got.body += piece; });
  stream.on('error', reject);
  stream.on('close', () => resolve(got));
  write(stream, got);
});

for (const [way, base] of [['plain', plain], ['tls', secure]]) {
  for (const name of names) {
    const one = (title, f) => test(`node:http2, ${way}, to ${name}: ${title}`, async () => {
      const session = http2.connect(base);
      await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
      try { await f(session); } finally { session.close(); }
    });

    one('100 Continue', async (session) => {
      const got = await ask(session, { ':method': 'POST', ':path': `/${name}/echo`, expect: '100-continue' }, () => {});
      assert.ok(got.continued);
      assert.equal(JSON.parse(got.body).body, 'hello');
    });

    one('early hints', async (session) => {
      const got = await ask(session, { ':path': `/${name}/hinted` }, (stream) => stream.end());
      assert.deepEqual(got.hints.map((h) => [h[':status'], h.link]), [[103, '</style.css>']]);
      assert.equal(got.head[':status'], 200);
    });

    one('trailers', async (session) => {
      const got = await ask(session, { ':method': 'POST', ':path': `/${name}/trailers`, te: 'trailers', trailer: 'x-mine' }, (stream, got) => {
        got.mine = { 'x-mine': '1' };
        stream.end('hello');
      });
      assert.equal(got.body, 'hello');
      assert.equal(got.trailers['x-sum'], '5');
    });

    one('200 streams of one session', async (session) => {
      const answers = await Promise.all(Array.from({ length: 200 }, (_, i) =>
        ask(session, { ':method': 'POST', ':path': `/${name}/echo` }, (stream) => stream.end(`call ${i}`))));
      answers.forEach((got, i) => assert.equal(JSON.parse(got.body).body, `call ${i}`));
    });

    one('a stream that is given up leaves the others alone', async (session) => {
      const left = session.request({ ':path': `/${name}/never` });
      const closed = new Promise((resolve) => left.on('close', resolve).on('error', () => {}));
      const other = await ask(session, { ':path': `/${name}/none` }, (stream) => stream.end());
      assert.equal(other.head[':status'], 204);
      left.close(http2.constants.NGHTTP2_CANCEL);
      await closed;
      const after = await ask(session, { ':path': `/${name}/body` }, (stream) => stream.end());
      assert.equal(after.body.length > 0 && after.head['content-length'], '300000');
    });

    one('a ping', (session) => new Promise((resolve, reject) => session.ping((err) => (err ? reject(err) : resolve()))));

    one('fields that are many and repeated', async (session) => {
      const fields = { ':path': `/${name}/echo`, cookie: ['a=1', 'b=2'], 'x-two': ['1', '2'] };
      for (let i = 0; i < 50; i += 1) fields[`x-field-${i}`] = 'x'.repeat(200);
      const echoed = JSON.parse((await ask(session, fields, (stream) => stream.end())).body);
      assert.equal(echoed.header.Cookie.join('; '), 'a=1; b=2');
      assert.equal(echoed.header['X-Two'].join(', '), '1, 2');
      assert.equal(echoed.header['X-Field-49'][0].length, 200);
    });
  }
}
