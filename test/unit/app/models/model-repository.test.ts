/** A repository on a manual clock, with a real directory and processes that a test drives. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initialRevisions } from '../../../../sidecar/app/models/initial-revisions.js';
import { LifeLog } from '../../../../sidecar/app/models/life/life-log.js';
import { LoadedRevision } from '../../../../sidecar/app/models/loaded-revision.js';
import type { RevisionOwner } from '../../../../sidecar/app/models/loaded-revisions.js';
import { type ModelControl, ModelRepository } from '../../../../sidecar/app/models/model-repository.js';
import type { Revision } from '../../../../sidecar/core/models/settled-listing.js';
import { LATEST } from '../../../../sidecar/core/models/version-policy.js';
import { listRevisions } from '../../../../sidecar/health/model/model-revisions.js';
import type { ModelBackend } from '../../../../sidecar/inbound/model-backend.js';
import type { ModelState } from '../../../../sidecar/inbound/model-instance.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { anAppContext } from '../../../kit/stack/app-context.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { Stack } from '../../../kit/stack/stack.js';

/** What `ModelBackend` and `ModelHost` are to a repository: a state, calls that end, processes that stop. */
class Served {
  readonly instances: { state: ModelState }[] = [{ state: { kind: 'starting' } }];
  isRetired = false;
  isStopped = false;
  isClosed = false;
  calls = 0;
  onIdle = (): void => {};
  loaded!: LoadedRevision;

  /** As its supervisor says it; a revision that is open has no process yet. */
  readonly isWarming = false;
  report(): { state: 'starting' | 'ready' | 'backoff' | 'stopped'; why: string; restarts: number } {
    const { kind } = this.instances[0]!.state;
    const state = this.isStopped ? 'stopped' : kind === 'away' ? 'backoff' : kind;
    return { state, why: '', restarts: 0 };
  }

  retire(): void {
    this.isRetired = true;
  }
  whenIdle(fn: () => void): void {
    this.onIdle = fn;
    if (this.calls === 0) fn();
  }
  async end(): Promise<void> {
    this.isStopped = true;
  }
}

describe('a model repository', () => {
  const scratch = scratchForEach();
  let stack: Stack;
  let repository: ModelRepository;
  let served: Map<string, Served>;
  let lives: LifeLog;
  /** What was served each time that this may have changed. */
  let told: string[];

  const put = (path: string, bytes = 'model'): void => {
    mkdirSync(join(scratch.path, path), { recursive: true });
    writeFileSync(join(scratch.path, path, 'model.onnx'), bytes);
  };
  const owner: RevisionOwner = {
    open: (revision, isInitial) => {
      const each = new Served();
      each.loaded = new LoadedRevision(revision, each as unknown as ModelBackend, [each as never], isInitial);
      served.set(`${revision.name}/${revision.version}`, each);
      return each.loaded;
    },
    run: () => {},
    moved: (revision) => lives.observe(revision, revision.lifeFacts, revision.lifeWhy),
    listed: (all) => lives.keepOnly(all),
    close: ({ name, version }) => {
      served.get(`${name}/${version}`)!.isClosed = true;
    },
    served: () => {
      told.push(
        repository.loaded
          .served()
          .map(({ name, version }) => `${name}/${version}`)
          .join(),
      );
    },
  };
  let drainTimeoutMs: number;
  const start = (control: ModelControl = 'poll'): void => {
    drainTimeoutMs = 30_000;
    stack = new Stack();
    lives = new LifeLog({ clock: stack.clock, logger: silentLogger, instance: 'mine-1' });
    served = new Map();
    told = [];
    const settings = {
      ...{
        directory: scratch.path,
        policy: LATEST,
        control,
        pollMs: 1_000,
        drainTimeoutMs: () => drainTimeoutMs,
      },
    };
    repository = new ModelRepository(settings, owner, anAppContext(stack));
    const initial = initialRevisions(settings).map((each: Revision) => owner.open(each, true));
    repository.begin(initial, listRevisions(scratch.path));
    repository.start();
    for (const path of served.keys()) set(path, { kind: 'ready' });
  };
  afterEach(() => repository.stop());

  const of = (path: string): Served => served.get(path)!;
  const set = (path: string, state: ModelState): void => {
    of(path).instances[0]!.state = state;
    repository.changed(of(path).loaded);
  };
  const pass = (ms: number): void => stack.clock.advance(ms);
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const index = (): string[] =>
    repository
      .index()
      .map(({ name, version, state, reason }) => `${name}/${version} ${state} ${reason}`.trim());

  it('loads a new version once it has settled, retires the old one when that is ready, and stops it when it is idle', async () => {
    put('digits/1');
    start();
    of('digits/1').calls = 1;
    put('digits/2');
    pass(1_000);
    assert.deepEqual(index(), ['digits/1 READY'], 'it may be a copy under way');
    pass(1_500);
    assert.deepEqual(index(), ['digits/1 READY', 'digits/2 LOADING']);
    assert.equal(of('digits/1').isRetired, false);
    set('digits/2', { kind: 'ready' });
    assert.deepEqual(index(), ['digits/1 UNLOADING', 'digits/2 READY']);
    assert.deepEqual([of('digits/1').isRetired, of('digits/1').isStopped], [true, false]);
    of('digits/1').onIdle();
    await settled();
    assert.deepEqual([of('digits/1').isStopped, of('digits/1').isClosed], [true, true]);
    assert.deepEqual(index(), ['digits/1 UNAVAILABLE unloaded', 'digits/2 READY']);
  });

  it('goes on with the versions of its start where a reload adds rollouts, which take a restart, and other versions', () => {
    put('digits/1');
    put('digits/2');
    start();
    repository.choose({ kind: 'specific', versions: ['1'] });
    pass(5_000);
    assert.deepEqual(index(), ['digits/1 UNAVAILABLE unloaded', 'digits/2 READY']);
    assert.deepEqual(repository.policy, LATEST);
    put('digits/3');
    pass(5_000);
    assert.deepEqual(index(), ['digits/1 UNAVAILABLE unloaded', 'digits/2 READY', 'digits/3 LOADING']);
  });

  it('takes over with a reload which versions a rollout is to bring, and changes nothing itself', () => {
    put('digits/1');
    put('digits/2');
    start('rollout');
    const policy = { kind: 'specific', versions: ['1'] } as const;
    repository.choose(policy);
    pass(5_000);
    assert.deepEqual(repository.policy, policy);
    assert.deepEqual(index(), ['digits/1 UNAVAILABLE unloaded', 'digits/2 READY']);
    assert.equal(repository.newcomer(() => false)?.version, '1');
  });

  it('tells what is served: what was there at the start, and what has been ready since, until it is unloaded', () => {
    put('digits/1');
    put('words/1');
    start();
    set('words/1', { kind: 'away', why: 'it has ended' });
    assert.equal(told.at(-1), 'digits/1,words/1', 'it is started again');
    told = [];
    put('other/1');
    pass(2_500);
    assert.deepEqual(told, [], 'it is loading');
    set('other/1', { kind: 'ready' });
    set('other/1', { kind: 'away', why: 'it has ended' });
    set('other/1', { kind: 'starting' });
    assert.deepEqual([...new Set(told)], ['digits/1,other/1,words/1']);
    put('bad/1');
    pass(2_500);
    set('bad/1', { kind: 'away', why: 'no model' });
    assert.equal(told.at(-1), 'digits/1,other/1,words/1', 'it could not be loaded');
    rmSync(join(scratch.path, 'other'), { recursive: true });
    pass(2_500);
    assert.equal(told.at(-1), 'digits/1,words/1');
  });

  it('stops a version whose calls do not end after the drain timeout', async () => {
    put('digits/1');
    start();
    of('digits/1').calls = 1;
    put('digits/2');
    pass(3_000);
    set('digits/2', { kind: 'ready' });
    pass(29_000);
    await settled();
    assert.equal(of('digits/1').isStopped, false);
    pass(2_000);
    await settled();
    assert.equal(of('digits/1').isStopped, true);
  });

  it('gives calls the drain timeout of the configuration in force', async () => {
    put('digits/1');
    start();
    of('digits/1').calls = 1;
    put('digits/2');
    pass(3_000);
    drainTimeoutMs = 600_000;
    set('digits/2', { kind: 'ready' });
    pass(599_000);
    await settled();
    assert.equal(of('digits/1').isStopped, false);
    pass(2_000);
    await settled();
    assert.equal(of('digits/1').isStopped, true);
  });

  it('stops a bad version and says why; the one that serves goes on, and the bad one is tried again when it changes', async () => {
    put('digits/1');
    start();
    put('digits/2');
    pass(3_000);
    set('digits/2', { kind: 'away', why: 'golden output differs' });
    assert.equal(of('digits/2').isStopped, true);
    assert.deepEqual(index(), ['digits/1 READY', 'digits/2 UNAVAILABLE golden output differs']);
    const bad = of('digits/2');
    pass(60_000);
    assert.equal(of('digits/2'), bad, 'the same files are not loaded again');
    put('digits/2', 'another model');
    pass(3_000);
    assert.notEqual(of('digits/2'), bad);
    assert.deepEqual(index(), ['digits/1 READY', 'digits/2 LOADING']);
    assert.deepEqual(repository.loaded.loads.get('digits'), { ok: 1, failed: 1 });
  });

  it('leaves a model that was there at the start to its supervisor when it does not load', () => {
    put('digits/1');
    start();
    set('digits/1', { kind: 'away', why: 'killed by SIGKILL' });
    assert.deepEqual(index(), ['digits/1 UNAVAILABLE killed by SIGKILL']);
    assert.equal(of('digits/1').isStopped, false);
    set('digits/1', { kind: 'ready' });
    assert.deepEqual(index(), ['digits/1 READY']);
  });

  it('unloads a model that is gone, and nothing when its directory cannot be read', async () => {
    put('digits/1');
    put('lite/1');
    start();
    renameSync(scratch.path, `${scratch.path}.away`);
    pass(60_000);
    renameSync(`${scratch.path}.away`, scratch.path);
    assert.deepEqual(index(), ['digits/1 READY', 'lite/1 READY']);
    rmSync(join(scratch.path, 'lite'), { recursive: true });
    pass(3_000);
    await settled();
    assert.deepEqual(index(), ['digits/1 READY']);
    assert.equal(of('lite/1').isClosed, true);
  });

  it('looks at its directory on command only, where that is said', async () => {
    put('digits/1');
    start('explicit');
    put('digits/2');
    pass(60_000);
    assert.deepEqual(index(), ['digits/1 READY']);
    const command = repository.loadModel('digits');
    assert.deepEqual(index(), ['digits/1 READY', 'digits/2 LOADING']);
    set('digits/2', { kind: 'ready' });
    assert.deepEqual(await command, { kind: 'done' });
  });

  it('loads again on command what has failed, though its files are the same', async () => {
    put('digits/1');
    start('explicit');
    put('digits/2');
    const first = repository.loadModel('digits');
    set('digits/2', { kind: 'away', why: 'no memory' });
    assert.deepEqual(await first, { kind: 'failed', why: 'version 2 is at UNAVAILABLE state: no memory;' });
    const bad = of('digits/2');
    const second = repository.loadModel('digits');
    assert.notEqual(of('digits/2'), bad);
    set('digits/2', { kind: 'ready' });
    assert.deepEqual(await second, { kind: 'done' });
  });

  it('unloads on command, and knows no other models', async () => {
    put('digits/1');
    start('explicit');
    assert.deepEqual(repository.unloadModel('letters'), { kind: 'unknown', why: "'letters' is not found" });
    assert.deepEqual(repository.unloadModel('digits'), { kind: 'done' });
    assert.equal(of('digits/1').isRetired, true);
    await settled();
    assert.deepEqual(index(), ['digits/1 UNAVAILABLE unloaded']);
    const unknown = await repository.loadModel('letters');
    assert.deepEqual(unknown, { kind: 'unknown', why: 'failed to poll from model repository' });
    const again = repository.loadModel('digits');
    set('digits/1', { kind: 'ready' });
    assert.deepEqual(await again, { kind: 'done' });
  });

  it('ends a command that waits when the sidecar stops', async () => {
    put('digits/1');
    start('explicit');
    put('digits/2');
    const command = repository.loadModel('digits');
    repository.stop();
    const stopping = { kind: 'failed', why: 'the sidecar is stopping' };
    assert.deepEqual([await command, await repository.loadModel('digits')], [stopping, stopping]);
  });
});
