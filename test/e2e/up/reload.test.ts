/** The mesh file changes while the mesh runs: `up` takes it over, by itself and on SIGHUP, and an application notices nothing. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { digitLoad } from '../../drills/faults/digit-load.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { reportOf } from '../../kit/process/outrider.js';
import { childrenOf, isRunning, until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';
import { codeOfDigit } from '../../kit/service/model-load.js';
import { TestClient } from '../../kit/service/model-server.js';

describe('outrider up, when its file changes', function () {
  this.timeout(90_000);

  /** Attempts may take long: what is tested is not how fast this machine is. */
  const text = meshFile({ replicas: 1, attemptTimeout: '4s' });
  const running = new SuiteMesh(text);

  /** Calls at a steady rate while `act` runs: none of them fails. */
  async function unnoticed(act: () => Promise<void>): Promise<void> {
    const load = await digitLoad({
      target: running.target,
      perSecond: 20,
      deadlineMs: 5_000,
      channel: STOCK_CHANNEL,
    });
    afterTest(() => load.stop());
    await act();
    await load.stop();
    assert.deepEqual(load.failures, [], `of ${load.sent}`);
  }

  const file = (): string => join(running.mesh.temporary, 'mesh.yaml');
  const outcomes = (): Record<string, unknown>[] =>
    running.mesh.events.filter(({ event }) => event === 'mesh-taken' || event === 'mesh-refused');

  /** Resolves with what `up` said of it. */
  async function change(next: string): Promise<Record<string, unknown>> {
    const before = outcomes().length;
    writeFileSync(file(), next);
    return until('up has looked at it', () => outcomes()[before], 40_000);
  }

  async function infer(): Promise<string> {
    const { stdout, stderr } = await running.infer('--deadline', '3s');
    return stdout.startsWith('7 ') ? 'seven' : stderr;
  }

  async function isAnswered(): Promise<void> {
    const client = new TestClient(running.target);
    afterTest(() => client.close());
    assert.equal(await codeOfDigit(client), 0);
  }

  it('lets the next call obey: an intention that denies, and one that allows again', async () => {
    assert.equal(await infer(), 'seven');
    const denied = await change(text.replace('action: allow', 'action: deny'));
    assert.deepEqual([denied['event'], denied['changed']], ['mesh-taken', ['digits-1: reloaded']]);
    assert.match(await infer(), /PERMISSION_DENIED/);
    await change(text);
    await isAnswered();
  });

  it('goes on at SIGHUP, which reads the file too', async () => {
    const before = outcomes().length;
    running.mesh.signal('SIGHUP');
    const outcome = await until('it is read', () => outcomes()[before]);
    assert.deepEqual([outcome['event'], outcome['changed']], ['mesh-taken', []]);
    await isAnswered();
  });

  it('changes nothing for a file that is wrong, and says what is', async () => {
    const refused = await change(`${text}\ncolour: blue\n`);
    assert.equal(refused['event'], 'mesh-refused');
    assert.match(String(refused['problem']), /colour: unknown option/);
    await isAnswered();
    const again = await change(text);
    assert.deepEqual(again['changed'], []);
  });

  it('starts a replica and ends it again, and no call fails', () =>
    unnoticed(async () => {
      const added = await change(text.replace('replicas: 1', 'replicas: 2'));
      assert.deepEqual(added['changed'], ['digits-2: started', 'client: reloaded']);
      const endpoints = async () => (await reportOf(running.facts.admin)).endpoints;
      await until('it is called', async () => {
        const second = (await endpoints()).find(({ endpoint }) => endpoint === 'digits-2');
        return second?.state === 'eligible';
      });
      const removed = await change(text);
      assert.deepEqual(removed['changed'], ['client: reloaded', 'digits-2: ended']);
      assert.equal((await endpoints()).length, 1);
    }));

  it('restarts the caller for what only a restart takes over, and no call fails', () =>
    unnoticed(async () => {
      const processes = childrenOf(running.mesh.pid).filter(isRunning);
      const shared = 'name: client\n  shared: { listen: 127.0.0.1:0, by: authority }';
      const outcome = await change(text.replace('name: client', shared));
      assert.deepEqual(outcome['changed'], ['client: followed by a new process']);
      await until('one is gone, another there', () => {
        const now = childrenOf(running.mesh.pid).filter(isRunning);
        return now.length === processes.length && now.some((pid) => !processes.includes(pid));
      });
    }));

  it('names what it cannot take over', async () => {
    const outcome = await change(`${text}\nleaf_lifetime: 2h\n`);
    assert.deepEqual(outcome['needsRestart'], ['leaf_lifetime']);
  });
});
