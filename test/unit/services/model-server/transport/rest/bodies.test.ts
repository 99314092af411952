import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Bodies } from '../../../../../../services/model-server/transport/rest/bodies.js';
import { until } from '../../../../../kit/process/processes.js';

describe('bodies of REST requests', () => {
  let bodies: Bodies;
  let server: Server;
  /** Ends the responses to bodies that were read, the oldest first. */
  let answers: (() => void)[];

  beforeEach(async () => {
    bodies = new Bodies({ each: 1_000, all: 1_500 });
    answers = [];
    server = createServer((incoming, response) => {
      bodies.read(incoming, response).then(
        (body) => {
          answers.push(() => response.end(String(body.length)));
          server.emit('read');
        },
        (error: Error) => response.end(error.message),
      );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  function begin(bytes: number): ClientRequest {
    const { port } = server.address() as AddressInfo;
    const asked = request({ host: '127.0.0.1', port, method: 'POST', agent: false });
    asked.write(Buffer.alloc(bytes));
    return asked;
  }

  async function answerTo(asked: ClientRequest): Promise<string> {
    asked.end();
    const [response] = await once(asked, 'response');
    let text = '';
    for await (const chunk of response) text += chunk;
    return text;
  }

  async function readNext(): Promise<void> {
    if (answers.length === 0) await once(server, 'read');
  }

  it('are held until their responses end, and are refused when the others hold too much', async () => {
    const first = answerTo(begin(900));
    await readNext();
    assert.equal(bodies.heldBytes, 900);
    assert.match(await answerTo(begin(700)), /all callers hold the 1500 bytes that they may/);
    assert.equal(bodies.heldBytes, 900, 'what was refused is not held');
    const small = answerTo(begin(600));
    if (answers.length < 2) await once(server, 'read');
    assert.equal(bodies.heldBytes, 1_500);
    for (const answer of answers.splice(0)) answer();
    assert.deepEqual(await Promise.all([first, small]), ['900', '600']);
    const again = answerTo(begin(1_000));
    await readNext();
    assert.equal(bodies.heldBytes, 1_000);
    answers.shift()!();
    assert.equal(await again, '1000');
  });

  it('are no longer than one may be', async () => {
    assert.equal(
      await answerTo(begin(1_001)),
      'request: found more than 1000 bytes, expected at most so many',
    );
    assert.equal(bodies.heldBytes, 0);
  });

  it('are let go when their caller goes, also those that it had pipelined behind the first', async () => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    const whole = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 300\r\n\r\n${'x'.repeat(300)}`;
    socket.write(whole + whole + whole.slice(0, -100));
    while (bodies.heldBytes < 800) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await until('they are let go', () => bodies.heldBytes === 0);
  });

  it('are let go once, however their request ends', async () => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    socket.write(`POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 300\r\n\r\n${'x'.repeat(200)}`);
    const [request] = (await once(server, 'request')) as [IncomingMessage];
    while (bodies.heldBytes < 200) await new Promise((resolve) => setImmediate(resolve));
    request.destroy();
    await until('they are let go', () => bodies.heldBytes === 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(bodies.heldBytes, 0);
    socket.destroy();
  });

  it('are let go when their caller goes before the end', async () => {
    const asked = begin(800);
    asked.on('error', () => {});
    const [, response] = await once(server, 'request');
    asked.destroy();
    await once(response, 'close');
    assert.equal(bodies.heldBytes, 0);
  });
});
