/** Processes that are replaced before they fail: the fresh one first, and nothing where there is no reason. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initialRevisions } from '../../../../sidecar/app/models/initial-revisions.js';
import { LoadedRevision } from '../../../../sidecar/app/models/loaded-revision.js';
import type { RevisionOwner } from '../../../../sidecar/app/models/loaded-revisions.js';
import { ModelRepository } from '../../../../sidecar/app/models/model-repository.js';
import { Recycler } from '../../../../sidecar/app/models/recycler.js';
import type { RolloutStore } from '../../../../sidecar/app/models/rollout/store.js';
import { LATEST } from '../../../../sidecar/core/models/version-policy.js';
import { listRevisions } from '../../../../sidecar/health/model/model-revisions.js';
import type { ModelBackend } from '../../../../sidecar/inbound/model-backend.js';
import type { ModelState } from '../../../../sidecar/inbound/model-instance.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { anAppContext } from '../../../kit/stack/app-context.js';
import { Stack } from '../../../kit/stack/stack.js';

/** What a backend and a model server are to the recycler. */
class Served {
  readonly instances: { state: ModelState; isReady: boolean }[] = [
    { state: { kind: 'starting' }, isReady: false },
  ];
  readonly isWarming = false;
  isRetired = false;
  isStopped = false;
  share = 1;

  constructor(public pid: number) {}

  report() {
    return { state: 'ready', why: '', restarts: 0, pid: this.pid };
  }
  retire(): void {
    this.isRetired = true;
  }
  whenIdle(fn: () => void): void {
    fn();
  }
  async end(): Promise<void> {
    this.isStopped = true;
  }
}

describe('the recycler', () => {
  const scratch = scratchForEach();
  let stack: Stack;
  let repository: ModelRepository;
  let recycler: Recycler;
  let served: Served[];
  let memory: number;
  let isLocked: boolean;
  let isRollingOut: boolean;
  let onTake: () => void;
  let locks: string[];

  const store = {
    take: async (name: string) => {
      onTake();
      if (!isLocked) locks.push(`take ${name}`);
      return !isLocked;
    },
    give: async (name: string) => void locks.push(`give ${name}`),
  } as unknown as RolloutStore;

  beforeEach(() => {
    stack = new Stack();
    served = [];
    locks = [];
    memory = 0;
    isLocked = false;
    isRollingOut = false;
    onTake = () => {};
    mkdirSync(join(scratch.path, 'digits', '1'), { recursive: true });
    writeFileSync(join(scratch.path, 'digits', '1', 'model.onnx'), 'model');
    const owner: RevisionOwner = {
      open: (revision, isInitial) => {
        const each = new Served(served.length + 100);
        served.push(each);
        return new LoadedRevision(revision, each as unknown as ModelBackend, [each as never], isInitial);
      },
      ...{ run: () => {}, close: () => {}, served: () => {}, moved: () => {}, listed: () => {} },
    };
    const context = anAppContext(stack);
    const settings = { directory: scratch.path, policy: LATEST, control: 'none' as const, pollMs: 1_000 };
    const all = { ...settings, drainTimeoutMs: () => 30_000 };
    repository = new ModelRepository(all, owner, context);
    const initial = initialRevisions(all).map((each) => owner.open(each, true));
    repository.begin(initial, listRevisions(scratch.path));
    recycler = new Recycler({
      ...{ repository, context, store, memoryOf: () => memory, moved: () => {} },
      isRollingOut: () => isRollingOut,
      limits: { maxAgeMs: 3_600_000, maxMemoryBytes: 1_000 },
    });
    recycler.start();
    set(0, { kind: 'ready' });
  });
  afterEach(() => recycler.stop());

  const set = (i: number, state: ModelState): void => {
    const [instance] = served[i]!.instances;
    instance!.state = state;
    instance!.isReady = state.kind === 'ready';
    repository.changed(repository.loaded.all.find(({ backend }) => (backend as unknown) === served[i])!);
  };
  /** Time passes, with a look of the recycler each five seconds. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 5_000) {
      stack.clock.advance(5_000);
      for (let i = 0; i < 5; i++) await Promise.resolve();
    }
  };

  it('leaves a process alone that is young and small', async () => {
    await pass(600_000);
    assert.equal(served.length, 1);
    assert.deepEqual(locks, []);
  });

  it('loads a fresh process beside one that is old, and drains that only when the fresh one is ready', async () => {
    await pass(3_650_000);
    assert.equal(served.length, 2);
    await pass(60_000);
    assert.equal(served[0]!.isRetired, false, 'the fresh one is not ready');
    set(1, { kind: 'ready' });
    await pass(5_000);
    assert.deepEqual([served[0]!.isRetired, served[1]!.isRetired], [true, false]);
    assert.deepEqual(locks, ['take recycle', 'give recycle']);
    assert.deepEqual(recycler.counts, { done: 1, failed: 0 });
    await pass(600_000);
    assert.equal(served.length, 2, 'the fresh one is young');
  });

  it('goes on with the old one where the fresh one does not load, and tries again ten minutes later', async () => {
    memory = 2_000;
    await pass(70_000);
    assert.equal(served.length, 2);
    set(1, { kind: 'away', why: 'no memory left' });
    await pass(10_000);
    assert.equal(served[0]!.isRetired, false);
    assert.equal(served[1]!.isStopped, true);
    assert.deepEqual(recycler.counts, { done: 0, failed: 1 });
    await pass(590_000);
    assert.equal(served.length, 2);
    await pass(20_000);
    assert.equal(served.length, 3);
  });

  it('replaces what a detector suspects, unless the suspicion is gone', async () => {
    await pass(70_000);
    recycler.suspect({ model: 'other', version: '1' }, 'it leaks');
    recycler.suspect({ model: 'digits', version: '2' }, 'it leaks');
    recycler.suspect({ model: 'digits', version: '1' }, 'it leaks');
    recycler.suspect({ model: 'digits', version: '1' }, '');
    await pass(60_000);
    assert.equal(served.length, 1);
    recycler.suspect({ model: 'digits', version: '1' }, 'it leaks');
    await pass(5_000);
    assert.equal(served.length, 2);
  });

  it('suspects one process of several, until that one ends', async () => {
    await pass(70_000);
    const model = { model: 'digits', version: '1' };
    for (const instance of [1, 2]) recycler.suspect({ ...model, instance }, `${instance} leaks`);
    set(0, { kind: 'away', why: 'its process has ended' });
    recycler.suspect({ ...model, instance: 1 }, '');
    const [revision] = repository.loaded.all;
    assert.equal(revision!.suspicion, '2 leaks');
    recycler.suspect({ ...model, instance: 2 }, '');
    set(0, { kind: 'ready' });
    await pass(120_000);
    assert.deepEqual([revision!.suspicion, served.length], ['', 1], 'the fresh processes are not suspected');
  });

  it('remembers a suspicion that a failed renewal has not answered, and acts on it again', async () => {
    await pass(70_000);
    recycler.suspect({ model: 'digits', version: '1' }, 'it leaks');
    await pass(5_000);
    set(1, { kind: 'away', why: 'no memory left' });
    await pass(10_000);
    assert.equal(repository.loaded.all[0]!.suspicion, 'it leaks');
    await pass(610_000);
    assert.equal(served.length, 3);
    set(2, { kind: 'away', why: 'no memory left' });
    recycler.suspect({ model: 'digits', version: '1' }, '');
    await pass(620_000);
    assert.equal(served.length, 3, 'the detector has withdrawn it');
  });

  it('does nothing while another replica of the service recycles, or a process does not serve', async () => {
    memory = 2_000;
    isLocked = true;
    await pass(600_000);
    assert.equal(served.length, 1);
    set(0, { kind: 'away', why: 'it crashed' });
    isLocked = false;
    await pass(600_000);
    assert.equal(served.length, 1);
  });

  it('waits for the end of a rollout of the service', async () => {
    isRollingOut = true;
    await pass(70_000);
    recycler.suspect({ model: 'digits', version: '1' }, 'it leaks');
    await pass(1_800_000);
    assert.deepEqual([served.length, locks], [1, []]);
    isRollingOut = false;
    await pass(5_000);
    assert.equal(served.length, 2);
  });

  it('does not begin when a rollout has begun while the replicas agreed', async () => {
    onTake = () => {
      isRollingOut = true;
    };
    memory = 2_000;
    await pass(70_000);
    assert.deepEqual([served.length, locks], [1, ['take recycle', 'give recycle']]);
  });

  it('waits for the end of a rollout for an hour at most, from when it is due, also where the reason comes and goes', async () => {
    isRollingOut = true;
    await pass(70_000);
    for (let ms = 0; ms < 3_500_000; ms += 500_000) {
      memory = 2_000;
      await pass(495_000);
      memory = 0;
      await pass(5_000);
    }
    memory = 2_000;
    await pass(50_000);
    assert.deepEqual([served.length, locks], [1, []]);
    await pass(100_000);
    assert.equal(served.length, 2);
  });

  it('waits anew for each rollout, and for another process', async () => {
    isRollingOut = true;
    await pass(70_000);
    memory = 2_000;
    await pass(3_000_000);
    memory = 0;
    isRollingOut = false;
    await pass(5_000);
    [isRollingOut, memory] = [true, 2_000];
    await pass(3_000_000);
    assert.equal(served.length, 1, 'another rollout');
    served[0]!.pid += 1;
    await pass(3_000_000);
    assert.equal(served.length, 1, 'another process');
    await pass(800_000);
    assert.equal(served.length, 2);
  });
});
