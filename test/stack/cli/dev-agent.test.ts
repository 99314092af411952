/** The agent of `up --consul dev`, with a real Consul. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DevAgent } from '../../../sidecar/cli/consul/dev-agent.js';
import { MeshIntentionWriter } from '../../../sidecar/cli/consul/write-intentions.js';
import { systemRandom } from '../../../sidecar/runtime/random.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { consulBinary, consulOrSkip } from '../../kit/consul/consul.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { freePort } from '../../kit/process/free-port.js';
import { isRunning, until } from '../../kit/process/processes.js';

describe('a Consul agent beside a mesh', function () {
  this.timeout(60_000);
  const scratch = scratchForEach();
  let agent: DevAgent | undefined;
  let states: string[];

  before(async function () {
    await consulOrSkip(this);
  });

  beforeEach(() => {
    states = [];
  });

  afterEach(async () => {
    await agent?.stop();
    agent = undefined;
  });

  async function start(http?: number): Promise<DevAgent> {
    const ports = { http: http ?? (await freePort()), serfLan: await freePort(), rpc: await freePort() };
    const folder = join(scratch.path, '_consul');
    mkdirSync(folder);
    const onChange = ({ state }: { state: string }) => states.push(state);
    const time = { clock: systemClock, random: systemRandom, timers: systemTimers };
    const rest = { ...time, datacenter: 'dc1', onChange };
    agent = new DevAgent({ binary: await consulBinary(), folder, ports, ...rest });
    agent.start();
    return agent;
  }

  const get = async (path: string) => JSON.parse((await agent!.api.get(path)).body);

  it('has a leader, an authority and a UI', async () => {
    const { ready, ui } = await start();
    await ready;
    assert.match(await get('/status/leader'), /^127\.0\.0\.1:/);
    const page = await fetch(ui);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /Consul/);
  });

  it('comes back after a kill with the same port, authority and intentions', async () => {
    const { ready, url } = await start();
    await ready;
    const intentions = [{ from: 'client', to: 'digits', action: 'allow' as const }];
    await new MeshIntentionWriter(agent!.api).write({ intentions, defaultIntention: 'deny' });
    const root = (await get('/agent/connect/ca/roots')).ActiveRootID;
    const { pid } = agent!.report();
    process.kill(pid!, 'SIGKILL');
    await until('it is ready again', () => states.includes('backoff') && agent!.report().state === 'ready');
    assert.equal(agent!.url, url);
    assert.equal((await get('/agent/connect/ca/roots')).ActiveRootID, root);
    const after = (await get('/connect/intentions')) as { SourceName: string; Action: string }[];
    const rules = after.map(({ SourceName, Action }) => `${SourceName} ${Action}`);
    assert.deepEqual(rules, ['client allow', '* deny']);
  });

  it('has the intentions of a mesh file that changes, beside those of others', async () => {
    await (await start()).ready;
    const writer = new MeshIntentionWriter(agent!.api);
    const rule = (from: string, action: 'allow' | 'deny') => ({ from, to: 'digits', action });
    const rules = async () => {
      const all = (await get('/connect/intentions')) as { SourceName: string; Action: string }[];
      return all.map(({ SourceName, Action }) => `${SourceName} ${Action}`).sort();
    };
    await writer.write({
      intentions: [rule('web', 'allow'), rule('api', 'allow')],
      defaultIntention: 'deny',
    });
    const own = { SourceName: 'drill', DestinationName: 'digits', SourceType: 'consul', Action: 'allow' };
    assert.equal((await agent!.api.post('/connect/intentions', own)).status, 200);
    assert.deepEqual(
      await writer.write({
        intentions: [rule('web', 'deny'), rule('cron', 'allow')],
        defaultIntention: 'allow',
      }),
      [
        'intention web → digits: deny',
        'intention cron → digits: allow',
        'intention * → *: deleted',
        'intention api → digits: deleted',
      ],
    );
    assert.deepEqual(await rules(), ['cron allow', 'drill allow', 'web deny']);
  });

  it('ends when it is told to', async () => {
    const { ready } = await start();
    await ready;
    const { pid } = agent!.report();
    await agent!.stop();
    assert.equal(isRunning(pid!), false);
    assert.equal(states.at(-1), 'stopped');
  });

  it('says in one line why it cannot start', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await until('the port is taken', () => server.listening);
    const { port } = server.address() as { port: number };
    afterTest(() => server.close());
    await assert.rejects((await start(port)).ready, /^CommandFailure: consul: .*address already in use$/);
  });

  it('says what Consul did not take', async () => {
    await (await start()).ready;
    const bad = [{ from: 'a', to: 'b', action: 'maybe' as 'allow' }];
    const written = new MeshIntentionWriter(agent!.api).write({ intentions: bad, defaultIntention: 'allow' });
    await assert.rejects(written, /^CommandFailure: consul did not take the intention a → b \(maybe\): \d+ /);
  });
});
