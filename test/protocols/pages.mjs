// What every client asks of a destination's pages, whatever carries it: send is fetch, or works as it does.
import assert from 'node:assert/strict';
import test from 'node:test';

export function pages(name, base, send) {
  const json = async (path, options) => {
    const answer = await send(base + path, options);
    assert.equal(answer.status, 200);
    return answer.json();
  };

  test(`${name}: get`, async () => {
    const echoed = await json('/echo?q=1&q=%20', { headers: [['x-two', '1'], ['x-two', '2']] });
    assert.equal(echoed.method, 'GET');
    assert.match(echoed.target, /\?q=1&q=%20$/);
    assert.equal(echoed.header['X-Two'].join(', '), '1, 2');
  });

  test(`${name}: head`, async () => {
    const answer = await send(`${base}/body`, { method: 'HEAD' });
    assert.equal(answer.headers.get('content-length'), '300000');
    assert.equal((await answer.arrayBuffer()).byteLength, 0);
  });

  test(`${name}: a part, and nothing new`, async () => {
    const part = await send(`${base}/ranges`, { headers: { range: 'bytes=300-309' } });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('content-range'), 'bytes 300-309/300000');
    assert.deepEqual([...new Uint8Array(await part.arrayBuffer())], Array.from({ length: 10 }, (_, i) => (300 + i) % 251));
    const same = await send(`${base}/ranges`, { headers: { 'if-none-match': '"it"' } });
    assert.equal(same.status, 304);
    assert.equal(await same.text(), '');
    const none = await send(`${base}/none`);
    assert.equal(none.status, 204);
    assert.equal(await none.text(), '');
  });

  test(`${name}: a body of 3 MB each way`, async () => {
    const body = 'abc'.repeat(1 << 20);
    const echoed = await json('/echo', { method: 'POST', body });
    assert.equal(echoed.length, body.length);
    const answer = await send(`${base}/body`);
    assert.ok(new Uint8Array(await answer.arrayBuffer()).every((b, i) => b === i % 251));
  });

  test(`${name}: a body of unknown length`, async () => {
    const body = new ReadableStream({
      async start(controller) {
        for (const word of ['one, ', 'two, ', 'three']) controller.enqueue(new TextEncoder().encode(word));
        controller.close();
      },
    });
    const echoed = await json('/echo', { method: 'POST', body, duplex: 'half' });
    assert.equal(echoed.body, 'one, two, three');
  });

  test(`${name}: events`, async () => {
    const answer = await send(`${base}/events`);
    assert.equal(answer.headers.get('content-type'), 'text/event-stream');
    let text = '';
    for await (const piece of answer.body) text += Buffer.from(piece).toString();
    assert.equal(text.match(/data: event \d/g).length, 5);
  });

  test(`${name}: a client that gives up, and asks again`, async () => {
    await assert.rejects(send(`${base}/never`, { signal: AbortSignal.timeout(200) }));
    assert.equal((await send(`${base}/none`)).status, 204);
  });

  test(`${name}: 100 at once`, async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => json('/echo', { method: 'POST', body: `call ${i}` })));
    answers.forEach((echoed, i) => assert.equal(echoed.body, `call ${i}`));
  });

  test(`${name}: an answer before the request is whole`, async () => {
    const answer = await send(`${base}/early`, { method: 'POST', body: 'x'.repeat(100_000) });
    assert.equal(answer.status, 413);
    assert.equal(await answer.text(), 'no more\n');
  });
}
