import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { ReadLimit } from '../../../../../services/openai/http/read-limit.js';
import { onResponseEnd } from '../../../../../services/openai/http/response-end.js';

const REQUEST = 'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}';
const LIMIT_MS = 60_000;
/** More than the kernel takes of one connection. */
const LARGE = Buffer.alloc(32 * 1024 * 1024, 'x');

describe('the limit for clients that do not read', () => {
  let server: Server;
  let responses: ServerResponse[];
  let places: number;
  let client: Socket;
  let nowMs: number;
  /** Null: nothing is looked at. */
  let look: (() => void) | null;

  beforeEach(async () => {
    responses = [];
    places = 0;
    nowMs = 1_000;
    look = null;
    const limit = new ReadLimit({
      limitMs: LIMIT_MS,
      now: () => nowMs,
      every: (_, fn) => {
        assert.equal(look, null);
        look = fn;
        return () => {
          look = null;
        };
      },
    });
    server = createServer((request, response) => {
      request.resume();
      responses.push(response);
      limit.watch(response);
      places++;
      onResponseEnd(response, () => {
        places--;
        server.emit('ended');
      });
      server.emit('asked');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('error', () => {});
    // It reads nothing until the test says so.
    client.pause();
  });

  afterEach(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });

  async function ask(requests: number): Promise<ServerResponse> {
    client.write(REQUEST.repeat(requests));
    while (responses.length < requests) await once(server, 'asked');
    return responses[0]!;
  }

  /** The time goes on, and connections are looked at every five seconds. */
  function pass(ms: number): void {
    for (const endMs = nowMs + ms; nowMs < endMs; ) {
      nowMs += 5_000;
      look?.();
    }
  }

  const allEnd = async (): Promise<void> => {
    while (places > 0) await once(server, 'ended');
  };

  const HOW: Readonly<Record<string, (response: ServerResponse) => void>> = {
    'an answer in one piece': (response) => response.end(LARGE),
    'a stream that has ended': (response) => {
      response.write(LARGE);
      response.end('end');
    },
    'a stream that waits to go on': (response) => void response.write(LARGE),
  };
  for (const [what, answer] of Object.entries(HOW)) {
    it(`${what}: its client loses its place after the limit, and not before`, async () => {
      const response = await ask(1);
      answer(response);
      pass(LIMIT_MS);
      assert.deepEqual([places, response.req.socket.destroyed], [1, false]);
      pass(10_000);
      await allEnd();
      assert.equal(look, null, 'nothing is looked at any more');
    });

    it(`${what}: those that its client has pipelined lose theirs as well`, async () => {
      const response = await ask(20);
      answer(response);
      for (const each of responses.slice(1, 10)) each.end('x');
      assert.equal(places, 20);
      pass(LIMIT_MS + 10_000);
      await allEnd();
      assert.equal(look, null);
    });
  }

  it('a client that reads slowly keeps its place: what was there before is gone at each limit', async () => {
    const response = await ask(1);
    let isRead = Promise.resolve();
    for (let round = 0; round < 5; round++) {
      isRead = new Promise((resolve) => void response.write(LARGE, () => resolve()));
      pass(LIMIT_MS - 5_000);
      client.resume();
      await isRead;
      client.pause();
      pass(5_000);
      assert.equal(response.req.socket.destroyed, false, `round ${round}`);
    }
  });

  it('a client that waits for its answer is left alone, however long', async () => {
    const response = await ask(1);
    pass(10 * LIMIT_MS);
    client.resume();
    response.write('begins');
    await once(client, 'data');
    pass(10 * LIMIT_MS);
    assert.equal(response.req.socket.destroyed, false);
    response.end('x');
    await allEnd();
    assert.deepEqual([look, response.req.socket.destroyed], [null, false]);
  });

  it('the time that an answer waits for its engine does not count', async () => {
    const response = await ask(1);
    pass(10 * LIMIT_MS);
    response.end(LARGE);
    pass(LIMIT_MS - 5_000);
    assert.equal(response.req.socket.destroyed, false);
    client.resume();
    await allEnd();
  });

  it('a connection that is used again is watched again', async () => {
    const first = await ask(1);
    first.end('x');
    client.resume();
    await allEnd();
    client.pause();
    assert.equal(look, null);
    client.write(REQUEST);
    while (responses.length < 2) await once(server, 'asked');
    responses[1]!.end(LARGE);
    pass(LIMIT_MS + 10_000);
    await allEnd();
  });
});
