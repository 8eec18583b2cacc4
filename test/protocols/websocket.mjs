// WebSocket's client of Node.js, over HTTP/1.1.
import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';

const bases = { plain: process.env.GATEWAY, tls: process.env.GATEWAY_TLS };
const once = (socket, event) => new Promise((resolve, reject) => {
  socket.once(event, (...values) => resolve(values));
  if (event !== 'error') socket.once('error', reject);
});

for (const [way, base] of Object.entries(bases)) {
  const url = `${base.replace(/^http/, 'ws')}/web/ws?q=1`;

  test(`ws, ${way}: messages`, async () => {
    const socket = new WebSocket(url, ['chat', 'other'], { headers: { 'x-mine': '1' } });
    await once(socket, 'open');
    assert.equal(socket.protocol, 'chat');
    for (const message of ['hello', '', 'x'.repeat(1 << 20)]) {
      socket.send(message);
      const [back, binary] = await once(socket, 'message');
      assert.equal(back.toString(), message);
      assert.equal(binary, false);
    }
    socket.send(Buffer.alloc(70_000, 7));
    const [back, binary] = await once(socket, 'message');
    assert.ok(binary && back.equals(Buffer.alloc(70_000, 7)));
    socket.ping('there?');
    assert.equal((await once(socket, 'pong'))[0].toString(), 'there?');
    socket.close(4000, 'enough');
    const [code, reason] = await once(socket, 'close');
    assert.equal(code, 4000);
    assert.equal(reason.toString(), 'enough');
  });

  test(`ws, ${way}: 500 messages, sent before any is read`, async () => {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    const back = [];
    const all = new Promise((resolve) => socket.on('message', (m) => { back.push(m.toString()); if (back.length === 500) resolve(); }));
    for (let i = 0; i < 500; i += 1) socket.send(`message ${i}`);
    await all;
    back.forEach((m, i) => assert.equal(m, `message ${i}`));
    socket.close();
    await once(socket, 'close');
  });

  test(`ws, ${way}: a destination that speaks none`, async () => {
    const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/web/echo`);
    const [err] = await once(socket, 'error');
    assert.match(err.message, /Unexpected server response: 200/);
  });
}
