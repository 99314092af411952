import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ConsulProxy,
  instancesAt,
  noInstances,
  readsFail,
  withPort,
} from '../../../../../sidecar/cli/chaos/faults/consul-proxy.js';

const INSTANCES = JSON.stringify([{ Node: { Address: '10.0.0.1' }, Service: { ID: 'a', Port: 20_000 } }]);

describe('the proxy before the Consul of a drill', () => {
  let agent: Server;
  let proxy: ConsulProxy;
  let asked: string[];

  // An agent that never answers a read with its own index: nothing changes.
  beforeEach(async () => {
    asked = [];
    agent = createServer((incoming, outgoing) => {
      asked.push(`${incoming.method} ${incoming.url}`);
      if (incoming.url?.includes('index=7')) return;
      outgoing.writeHead(200, { 'x-consul-index': '7' }).end(INSTANCES);
    });
    await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
    const { port } = agent.address() as AddressInfo;
    proxy = await ConsulProxy.open({ agent: { address: `127.0.0.1:${port}` } });
  });
  afterEach(() => {
    void proxy.close();
    agent.close();
    agent.closeAllConnections();
  });

  async function read(path: string) {
    const answer = await fetch(`${proxy.url}/v1${path}`);
    return { status: answer.status, index: answer.headers.get('x-consul-index'), body: await answer.text() };
  }

  it('passes everything on, until it lies about instances, and after that', async () => {
    const truth = { status: 200, index: '7', body: INSTANCES };
    assert.deepEqual(await read('/health/connect/digits'), truth);
    proxy.set(noInstances(1));
    assert.deepEqual(await read('/health/connect/digits'), { status: 200, index: '1', body: '[]' });
    assert.deepEqual(await read('/agent/self'), truth);
    proxy.set(instancesAt(1));
    const { body } = await read('/health/connect/digits');
    assert.equal(JSON.parse(body)[0].Service.Port, 1);
    proxy.set(readsFail(500));
    assert.equal((await read('/agent/self')).status, 500);
    proxy.set(undefined);
    assert.deepEqual(await read('/health/connect/digits'), truth);
  });

  it('answers a read that waits with the new lie, and then with the truth again', async () => {
    const waiting = read('/health/connect/digits?index=7');
    while (asked.length === 0) await new Promise(setImmediate);
    proxy.set(noInstances(1));
    assert.equal((await waiting).body, '[]');
    // Nothing is new for a reader that knows the lie.
    const again = read('/health/connect/digits?index=1');
    proxy.set(undefined);
    assert.equal((await again).index, '7');
  });

  it('changes the port of each instance and nothing else', () => {
    const [entry] = JSON.parse(withPort(INSTANCES, 9));
    assert.deepEqual(entry, { Node: { Address: '10.0.0.1' }, Service: { ID: 'a', Port: 9 } });
  });
});
