import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { onResponseEnd } from '../../../../../services/openai/http/response-end.js';

const REQUEST = 'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}';

describe('the end of a response', () => {
  let server: Server;
  let responses: ServerResponse[];
  let ended: string[];
  let client: Socket;

  beforeEach(async () => {
    responses = [];
    ended = [];
    server = createServer((request, response) => {
      request.resume();
      const name = String(responses.push(response));
      onResponseEnd(response, () => {
        ended.push(name);
        server.emit('ended');
      });
      server.emit('asked');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('error', () => {});
  });

  afterEach(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });

  async function ask(requests: number): Promise<void> {
    client.write(REQUEST.repeat(requests));
    while (responses.length < requests) await once(server, 'asked');
  }

  const allEnd = async (count: number): Promise<void> => {
    while (ended.length < count) await once(server, 'ended');
  };

  it('comes when it is sent', async () => {
    await ask(1);
    assert.deepEqual(ended, []);
    responses[0]!.end('x');
    await allEnd(1);
    assert.deepEqual(ended, ['1']);
  });

  it('comes for each that a client had pipelined when it went away, also for those behind the first', async () => {
    await ask(20);
    responses[0]!.write('x');
    await once(client, 'data');
    client.destroy();
    await allEnd(20);
    assert.equal(new Set(ended).size, 20);
  });

  it('comes once, and holds nothing on the connection afterwards', async () => {
    await ask(2);
    const { socket } = responses[0]!.req;
    const listeners = socket.listenerCount('close');
    responses[1]!.end('y');
    responses[0]!.end('x');
    await allEnd(2);
    client.write(REQUEST);
    while (responses.length < 3) await once(server, 'asked');
    assert.equal(socket.listenerCount('close'), listeners);
    client.destroy();
    await allEnd(3);
    assert.deepEqual([...ended].sort(), ['1', '2', '3']);
  });

  it('comes at once where the connection is gone already', async () => {
    await ask(1);
    client.destroy();
    await allEnd(1);
    let isOver = false;
    onResponseEnd(responses[0]!, () => {
      isOver = true;
    });
    assert.equal(isOver, true);
  });
});
