// gRPC's client of Node.js. Messages are bare bytes, as those of the server are.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import grpc from '@grpc/grpc-js';

const bytes = (value) => value;
const method = (name, requestStream, responseStream) => ({
  path: `/ebbgate.test.Echo/${name}`, requestStream, responseStream,
  requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes,
});
const Echo = grpc.makeGenericClientConstructor({
  unary: method('Unary', false, false), client: method('Client', true, false), server: method('Server', false, true), bidi: method('Bidi', true, true),
});
const root = fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS);
const metadata = (pairs) => { const m = new grpc.Metadata(); Object.entries(pairs).forEach(([k, v]) => m.add(k, v)); return m; };
const soon = () => ({ deadline: Date.now() + 60_000 });
const messages = async (stream) => { const list = []; for await (const m of stream) list.push(m.toString()); return list; };

for (const [way, address, trust] of [
  ['plain', process.env.GRPC, grpc.credentials.createInsecure()],
  ['tls', process.env.GRPC_TLS, grpc.credentials.createSsl(root)],
]) {
  const client = new Echo(address, trust, { 'grpc.max_receive_message_length': 16 << 20 });
  test.after(() => client.close());

  const unary = (message, pairs = {}, options = soon()) => new Promise((resolve, reject) => {
    const got = {};
    const call = client.unary(message, metadata(pairs), options, (err, answer) => (err ? reject(err) : Object.assign(got, { answer })));
    call.on('metadata', (m) => { got.header = m; });
    call.on('status', (s) => { got.status = s; if (s.code === 0) setImmediate(() => resolve(got)); });
  });

  test(`grpc-js, ${way}: unary`, async () => {
    const large = Buffer.alloc(5 << 20, 'x');
    const got = await unary(large, { 'echo-a': '1', 'echo-b-bin': Buffer.from([0, 255]), 'trail-c': '3' });
    assert.ok(got.answer.equals(large));
    assert.deepEqual(got.header.get('echo-a'), ['1']);
    assert.deepEqual([...got.header.get('echo-b-bin')[0]], [0, 255]);
    assert.deepEqual(got.status.metadata.get('trail-c'), ['3']);
  });

  test(`grpc-js, ${way}: a status`, async () => {
    await assert.rejects(unary(Buffer.from('a'), { 'want-code': '8', 'want-message': 'too much' }), (err) => {
      assert.equal(err.code, grpc.status.RESOURCE_EXHAUSTED);
      assert.equal(err.details, 'too much');
      assert.equal(err.metadata.get('grpc-status-details-bin').length, 1);
      return true;
    });
  });

  test(`grpc-js, ${way}: a deadline`, async () => {
    await assert.rejects(unary(Buffer.from('a'), { 'want-wait': '1' }, { deadline: Date.now() + 500 }),
      // grpc-go's server resets the stream when the deadline is over for itself, which may reach the client before its own timer rings
      (err) => err.code === grpc.status.DEADLINE_EXCEEDED || (process.env.STRAIGHT === 'true' && err.code === grpc.status.CANCELLED));
  });

  test(`grpc-js, ${way}: a stream of the client`, async () => {
    const answer = await new Promise((resolve, reject) => {
      const call = client.client(new grpc.Metadata(), soon(), (err, value) => (err ? reject(err) : resolve(value)));
      for (const word of ['a', 'b', 'c']) call.write(Buffer.from(word));
      call.end();
    });
    assert.equal(answer.toString(), 'abc');
  });

  test(`grpc-js, ${way}: a stream of the server`, async () => {
    const list = await messages(client.server(Buffer.from('again'), metadata({ 'want-count': '100' }), soon()));
    assert.equal(list.length, 100);
    assert.ok(list.every((m) => m === 'again'));
  });

  test(`grpc-js, ${way}: both ways in turns`, async () => {
    const call = client.bidi(new grpc.Metadata(), soon());
    const answers = call[Symbol.asyncIterator]();
    for (let i = 0; i < 20; i += 1) {
      call.write(Buffer.from(`message ${i}`));
      assert.equal((await answers.next()).value.toString(), `message ${i}`);
    }
    call.end();
    assert.ok((await answers.next()).done);
  });
}
