/** The endpoints of a Service by HTTP from a server that behaves as the Kubernetes API does, and as it does when it fails. */
import assert from 'node:assert/strict';
import type { EndpointConfig, KubernetesConfig } from '../../../sidecar/config/model.js';
import { ApiClient } from '../../../sidecar/discovery/kubernetes/api-client.js';
import { ApiFiles } from '../../../sidecar/discovery/kubernetes/api-settings.js';
import { ServiceWatcher } from '../../../sidecar/discovery/kubernetes/service-watcher.js';
import { SYSTEM } from '../../../sidecar/runtime/system.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { KubernetesApiServer, sliceJson } from '../../kit/process/kubernetes-api.js';
import { until } from '../../kit/process/processes.js';
import { silentLogger } from '../../kit/stack/silent-logger.js';

const A = { address: '10.0.0.1', pod: 'a' };
const B = { address: '10.0.0.2', pod: 'b' };
const WITHIN_MS = 1_000;

describe('The endpoints of a Service, from a server', function () {
  this.timeout(30_000);
  const scratch = scratchForEach();
  let api: KubernetesApiServer;

  const start = async (...tls: Parameters<typeof KubernetesApiServer.start>): Promise<void> => {
    api = await KubernetesApiServer.start(...tls);
    afterTest(() => api.stop().catch(() => {}));
  };

  function follow(more: Partial<KubernetesConfig> = {}) {
    const config: KubernetesConfig = {
      ...{ service: 'digits.models', port: 'peers', family: 'any', server: api.url },
      ...more,
    };
    const seen: (readonly EndpointConfig[])[] = [];
    const watcher = new ServiceWatcher(
      'digits',
      config,
      {
        ...SYSTEM,
        logger: silentLogger,
        api: new ApiClient(new ApiFiles({}, scratch.path)),
        isAnswering: () => false,
      },
      (endpoints) => void seen.push(endpoints),
    );
    afterTest(() => watcher.close());
    const ids = () => (seen.at(-1) ?? []).map(({ id, priority = 0 }) => (priority === 0 ? id : `${id}!`));
    const are = (...expected: string[]) =>
      until(`the endpoints are ${expected}`, () => ids().join() === expected.join());
    const isState = (state: string) =>
      until(`it is ${state}`, () => watcher.report().state === state && api !== undefined);
    const isWatched = () => until('a watch is open', () => api.watches === 1);
    return { watcher, are, isState, isWatched, ids, seen };
  }

  it('follow each change within a second, that a pod ends as well', async () => {
    await start();
    api.put('s', { endpoints: [A, B] });
    const digits = follow();
    await digits.are('a', 'b');
    await digits.isWatched();
    const beganMs = performance.now();
    api.put('s', { endpoints: [A, { ...B, terminating: true }] });
    await digits.are('a', 'b!');
    assert.ok(performance.now() - beganMs < WITHIN_MS);
    api.put('t', { endpoints: [{ address: '10.0.0.3', pod: 'c' }] });
    await digits.are('a', 'c', 'b!');
    api.delete('t');
    await digits.are('a', 'b!');
  });

  it('come in pieces of lines', async () => {
    await start();
    api.put('s', { endpoints: [A] });
    const digits = follow();
    await digits.are('a');
    await digits.isWatched();
    const line = Buffer.from(
      `${JSON.stringify({ type: 'MODIFIED', object: sliceJson('s', { endpoints: [A, B] }, 900) })}\n`,
    );
    api.send(line.subarray(0, 50));
    await new Promise((done) => setImmediate(done));
    api.send(line.subarray(50));
    await digits.are('a', 'b');
  });

  it('stay while the API is away, and what has changed meanwhile is known after it', async () => {
    await start();
    api.put('s', { endpoints: [A] });
    const digits = follow();
    await digits.are('a');
    await digits.isWatched();
    await api.stop();
    await digits.isState('failing');
    assert.deepEqual(digits.ids(), ['a']);
    assert.match(digits.watcher.report().problem!, /the connection broke|ECONNREFUSED|ECONNRESET/);
    api.putQuietly('s', { endpoints: [A, B] });
    // What was missed cannot be told from that revision on any more.
    api.watchFault = 'expired';
    await api.listen();
    await until('it has been listed anew', () => api.asked.filter((each) => each === 'list').length >= 2);
    api.watchFault = undefined;
    await digits.are('a', 'b');
    await digits.isState('current');
  });

  it('are watched again where a watch ends or breaks, from where it was', async () => {
    await start();
    api.put('s', { endpoints: [A] });
    const digits = follow();
    await digits.are('a');
    await digits.isWatched();
    for (const how of ['end', 'break'] as const) {
      api.put('s', { endpoints: [A, B] });
      await digits.are('a', 'b');
      api.endWatches(how);
      await until('it is watched again', () => api.watches === 1);
      api.put('s', { endpoints: [A] });
      await digits.are('a');
    }
    assert.equal(api.asked.filter((each) => each === 'list').length, 1, api.asked.join());
    assert.equal(api.asked.at(-1), 'watch 104');
  });

  it('are asked for by TLS with the token of the file, as it is now', async () => {
    const authority = await TestAuthority.root({});
    const leaf = await authority.leaf({ dnsNames: ['localhost'] });
    await start({ key: leaf.keyPem, cert: leaf.certChainPem });
    api.put('s', { endpoints: [A] });
    api.tokens = ['one'];
    scratch.write('token', 'one');
    const caFile = scratch.write('roots.pem', authority.pem);
    const server = api.url.replace('127.0.0.1', 'localhost');
    const digits = follow({ server, caFile });
    await digits.are('a');
    await digits.isWatched();
    // The token is replaced, and the old one ends with the connection that used it.
    api.tokens = ['two'];
    api.endWatches('break');
    await until('it is refused', () => /401 Unauthorized/.test(digits.watcher.report().problem ?? ''));
    assert.deepEqual(digits.ids(), ['a']);
    scratch.write('token', 'two');
    await digits.isState('current');
    const stranger = scratch.write('other.pem', (await TestAuthority.root({})).pem);
    const other = follow({ server, caFile: stranger });
    await other.isState('failing');
    assert.match(other.watcher.report().problem!, /SELF_SIGNED|UNABLE_TO|CERT/);
    assert.deepEqual(other.seen, []);
  });

  it('of 10,000 pods come in pages, of which the sidecar takes its part', async () => {
    await start();
    for (let s = 0; s < 100; s++)
      api.putQuietly(`s${s}`, {
        endpoints: Array.from({ length: 100 }, (_, e) => ({ address: `10.1.${s}.${e}`, pod: `p-${s}-${e}` })),
      });
    const digits = follow();
    await until('they are there', () => digits.ids().length === 1_000);
    assert.deepEqual(api.asked.slice(0, 2), ['list', 'list more']);
  });

  it('are named where the Service is of another kind or does not exist', async () => {
    await start();
    api.service = undefined;
    const digits = follow();
    const problem = (what: RegExp) =>
      until(`the problem is ${what}`, () => what.test(digits.watcher.report().problem ?? ''));
    await problem(/found no Service "digits" in the namespace "models"/);
    api.put('s', { endpoints: [A] });
    await digits.are('a');
    assert.equal(digits.watcher.report().problem, undefined);
    const external = { spec: { type: 'ExternalName', externalName: 'a.test' } };
    api.service = external;
    api.delete('s');
    await problem(/of the type ExternalName, which has no endpoints/);
  });

  it('are not known while the right is missing, and the answer says which', async () => {
    await start();
    const message =
      'endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:models:web" cannot list';
    api.fault = { status: 403, message };
    const digits = follow();
    await digits.isState('failing');
    assert.match(
      digits.watcher.report().problem!,
      /403 .*serviceaccount:models:web.*; expected a Role|403 .*: expected a Role/,
    );
    api.fault = undefined;
    api.put('s', { endpoints: [A] });
    await digits.are('a');
  });
});
