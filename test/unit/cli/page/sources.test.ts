import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CatalogSource } from '../../../../sidecar/cli/page/sources.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

describe('the sidecars of a page that come from Consul', () => {
  const Node = { Node: 'n1', Address: '127.0.0.1' };
  const instance = (ID: string, observe: string | undefined, Status = 'passing') => ({
    Node,
    Service: {
      ID,
      Address: '',
      Port: 9000,
      Meta: observe === undefined ? {} : { 'outrider-observe': observe },
    },
    Checks: [{ Status, Output: `${Status} it is`, Name: 'check' }],
  });

  it('have the metrics of their observe ports, cannot be drained, and stay while the agent is away', async () => {
    const sidecar = createServer((request, response) => {
      response.statusCode = request.url === '/metrics' ? 200 : 404;
      response.end('outrider_endpoint_eligible{upstream="u",cluster="u",endpoint="e"} 1\n');
    });
    await new Promise<void>((resolve) => {
      sidecar.listen(0, '127.0.0.1', resolve);
    });
    afterTest(() => sidecar.close());
    const port = String((sidecar.address() as AddressInfo).port);
    const agent = await LoopbackAgent.start();
    let isAway = false;
    agent.handler = ({ url = '' }, response) => {
      response.statusCode = isAway ? 500 : 200;
      const entries = [
        instance('web-1', port),
        instance('web-2', undefined, 'warning'),
        instance('web-3', '127.0.0.1:1', 'critical'),
      ];
      response.end(JSON.stringify(url.startsWith('/v1/catalog') ? { web: ['outrider'] } : entries));
    };
    const address = `127.0.0.1:${agent.port}`;
    const source = new CatalogSource(address);
    const seen = await source.look(() => -1);
    assert.deepEqual(
      seen.map(({ name, report, isRemote }) => [name, report?.ready, report?.endpoints.length, isRemote]),
      [
        ['web-1', true, 1, true],
        ['web-2', true, 0, true],
        ['web-3', undefined, undefined, undefined],
      ],
    );
    assert.match(seen[1]!.note!, /no `observe`/);
    assert.match(seen[2]!.problem!, /ECONNREFUSED.*; in Consul: critical it is/);
    assert.equal(source.target('web-1'), undefined);
    isAway = true;
    const again = await source.look(() => -1);
    assert.deepEqual(
      again.map(({ name }) => name),
      ['web-1', 'web-2', 'web-3'],
    );
    await agent.stop();
    await assert.rejects(
      new CatalogSource(address).look(() => -1),
      /^CommandFailure: Consul at /,
    );
  });

  it('say all that they know where their admin port is reached, and can be drained there', async () => {
    const endpoints = { instance: 'web-1', service: 'web', notReady: [], ready: true, endpoints: [] };
    const admin = createServer((request, response) => {
      const faults = { faults: [], processes: [{ process: 'freeze', pid: 7, leftMs: 900 }] };
      const answers: Record<string, string> = {
        '/endpoints': JSON.stringify(endpoints),
        '/faults': JSON.stringify(faults),
        // Of an earlier version, without a history.
        '/metrics': 'outrider_calls_total 1',
      };
      const body = answers[request.url ?? ''];
      response.statusCode = body === undefined ? 404 : 200;
      response.end(body);
    });
    await new Promise<void>((resolve) => {
      admin.listen(0, '127.0.0.1', resolve);
    });
    afterTest(() => admin.close());
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    agent.handler = ({ url = '' }, response) => {
      const entries = [instance('web-1', undefined, 'warning'), instance('web-2', undefined)];
      response.end(JSON.stringify(url.startsWith('/v1/catalog') ? { web: ['outrider'] } : entries));
    };
    const at = `127.0.0.1:${(admin.address() as AddressInfo).port}`;
    const source = new CatalogSource(`127.0.0.1:${agent.port}`, [at, '127.0.0.1:1']);
    const [reached, remote, silent] = await source.look(() => -1);
    assert.deepEqual(
      [reached!.name, reached!.isRemote, reached!.note, reached!.drills],
      ['web-1', undefined, 'in Consul: warning it is', ['the model process 7 is frozen, 1 s more']],
    );
    assert.deepEqual([reached!.history, reached!.metrics], [undefined, 'outrider_calls_total 1']);
    assert.deepEqual([remote!.name, remote!.isRemote], ['web-2', true]);
    assert.deepEqual([silent!.name, silent!.report], ['127.0.0.1:1', undefined]);
    assert.match(silent!.problem!, /ECONNREFUSED/);
    assert.deepEqual([source.target('web-1')!.name, source.target('web-2')], [at, undefined]);
  });
});
