/** What begins a rollout by itself, and what does not. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { LifeLog } from '../../../../../sidecar/app/models/life/life-log.js';
import type { ModelRepository } from '../../../../../sidecar/app/models/model-repository.js';
import { FileStore } from '../../../../../sidecar/app/models/rollout/file-store.js';
import { RolloutAgent } from '../../../../../sidecar/app/models/rollout/rollout-agent.js';
import { beginRollout, goBack } from '../../../../../sidecar/core/models/rollout.js';
import type { Revision } from '../../../../../sidecar/core/models/settled-listing.js';
import { LATEST } from '../../../../../sidecar/core/models/version-policy.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';
import { anAppContext } from '../../../../kit/stack/app-context.js';
import { Stack } from '../../../../kit/stack/stack.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };

describe('a replica that follows its directory', () => {
  const scratch = scratchForEach();
  let stack: Stack;
  let lives: LifeLog;
  let store: FileStore;
  let agent: RolloutAgent;
  /** What the directory has beside version 1 of each model, which is served. */
  let listed: Revision[];

  const revision = (name: string, version: string, fingerprint = `${name} ${version}`): Revision => ({
    ...{ name, version, fingerprint },
  });

  beforeEach(() => {
    stack = new Stack();
    listed = [];
    const context = anAppContext(stack);
    const { clock, logger } = context.deps;
    lives = new LifeLog({ clock, logger, instance: 'mine-1' });
    store = new FileStore(join(scratch.path, 'rollouts'), 'mine-1', context.deps);
    const repository = {
      newcomer: (isRejected: (each: Revision) => boolean) => listed.find((each) => !isRejected(each)),
      listed: (name: string) => listed.filter((each) => each.name === name),
      policy: LATEST,
      loaded: { held: () => undefined },
      pins: { versions: {}, servedOf: (name: string) => revision(name, '1'), candidateOf: () => undefined },
    } as unknown as ModelRepository;
    agent = new RolloutAgent({
      ...{ context, service: 'mine', instance: 'mine-1', settings: SETTINGS, store, lives, repository },
      ...{ isProven: () => true, moved: () => {} },
    });
  });
  afterEach(() => agent.stop());

  /** The last rollout of this version was rejected, at whichever replica; this one has read that. */
  const rejected = async (...rollout: Parameters<typeof storeEnd>): Promise<void> => {
    await storeEnd(...rollout);
    await agent.tick();
  };
  const storeEnd = async (
    model: string,
    version: string,
    end: 'rejected' | 'aborted' | 'done' = 'rejected',
  ): Promise<void> => {
    const plan = { service: 'mine', model, version, from: '1', instances: ['mine-2'], settings: SETTINGS };
    const made = beginRollout(undefined, plan, 0);
    assert.ok('record' in made);
    const { end: _, ...record } = goBack(made.record, 'rejected', 'mine-2: the golden output differs');
    assert.ok(await store.write({ ...record, state: end }, undefined, 'command'));
  };
  const underWay = (): string => {
    const { record } = agent.view();
    return record?.state === 'running' ? `${record.model} ${record.version}` : '';
  };

  it('begins a rollout of a version that is new in it', async () => {
    listed = [revision('digits', '2')];
    await agent.follow();
    assert.equal(underWay(), 'digits 2');
  });

  it('does not begin one of a version that another replica has rejected', async () => {
    await rejected('digits', '2');
    listed = [revision('digits', '2')];
    await agent.follow();
    assert.equal(underWay(), '');
  });

  it('begins one of the same version of another model, and of a later version', async () => {
    await rejected('digits', '2');
    listed = [revision('words', '2')];
    await agent.follow();
    assert.equal(underWay(), 'words 2');
  });

  it('begins one of a version that was rejected here once its files are others, and of the same files never', async () => {
    const [bad, mended] = [revision('digits', '2', 'bad'), revision('digits', '2', 'mended')];
    const facts = { load: 'failed', processes: [], isHeld: true, isProven: false, suspicion: '' } as const;
    lives.observe(bad, { ...facts, rejection: 'the golden output differs' }, 'the golden output differs');
    await rejected('digits', '2');
    listed = [bad];
    await agent.follow();
    assert.equal(underWay(), '');
    listed = [mended];
    await agent.follow();
    assert.equal(underWay(), 'digits 2');
  });

  it('follows another model where one was aborted, and does not go back to that one afterwards', async () => {
    await rejected('digits', '2', 'aborted');
    listed = [revision('digits', '2'), revision('words', '2')];
    await agent.follow();
    assert.equal(underWay(), 'words 2');
    await agent.command('abort');
    await agent.command('abort');
    await agent.follow();
    assert.equal(underWay(), '');
    assert.equal(agent.view().record?.state, 'aborted');
  });

  it('leaves a rollout of another service alone, whose replicas share the directory by mistake, until it is over', async () => {
    const plan = {
      service: 'other',
      model: 'digits',
      version: '2',
      from: '1',
      instances: ['other-1'],
      settings: SETTINGS,
    };
    const made = beginRollout(undefined, plan, 0);
    assert.ok('record' in made);
    assert.ok(await store.write(made.record, undefined, 'command'));
    await agent.tick();
    assert.equal(agent.view().record, undefined);
    const why = 'the stored rollout is of the service other; expected mine';
    assert.ok(agent.view().problem.includes(why), agent.view().problem);
    const answer = await agent.begin('words', '2', {});
    assert.ok(answer.kind === 'refused' && answer.why.includes(why), JSON.stringify(answer));
    const stored = await store.read();
    assert.ok(await store.write({ ...made.record, state: 'done' }, stored?.index, 'command'));
    assert.equal((await agent.begin('words', '2', {})).kind, 'done');
  });

  for (const byMs of [3_600_000, -3_600_000])
    it(`takes a clock that is set by ${byMs / 3_600_000} h for no time that a replica has spent`, async () => {
      const { clock } = stack;
      let setMs = 0;
      const wallNow = clock.wallNow.bind(clock);
      clock.wallNow = () => wallNow() + setMs;
      const plan = {
        service: 'mine',
        model: 'digits',
        version: '2',
        from: '1',
        instances: ['mine-2', 'mine-1'],
      };
      const made = beginRollout(undefined, { ...plan, settings: SETTINGS }, clock.wallNow());
      assert.ok('record' in made);
      const [other, own] = made.record.replicas;
      const record = { ...made.record, replicas: [{ ...other!, phase: 'loading' as const }, own!] };
      assert.ok(await store.write(record, undefined, 'command'));
      const peer = new FileStore(join(scratch.path, 'rollouts'), 'mine-2', { clock, timers: clock });
      const none = { calls: 0, errors: 0, medianMs: 0 };
      const announce = () =>
        peer.announce({
          ...{ instance: 'mine-2', id: record.id, serving: '1', candidate: 'loading', why: '', compared: 0 },
          ...{ agreed: 0, difference: '', before: none, after: none },
        });
      await announce();
      await agent.tick();
      setMs = byMs;
      for (let looks = 0; looks < 2; looks++) {
        stack.clock.advance(500);
        await agent.tick();
        await setImmediate();
      }
      const now = agent.view().record!;
      assert.equal(now.state, 'running', now.why);
      assert.ok(Math.abs(clock.wallNow() - now.replicas[0]!.sinceMs) <= 1_000);
      stack.clock.advance(SETTINGS.loadMs + 1_000);
      await announce();
      await agent.tick();
      await setImmediate();
      assert.equal(agent.view().record!.state, 'rolling-back', 'it was too slow');
      await peer.close();
    });

  it('is back although the version before fails here', async () => {
    const context = anAppContext(stack);
    let served = '2';
    let candidate: Revision | undefined;
    let deaths = 0;
    const held = {
      ...{ state: { kind: 'ready' }, hosts: [], isProven: true, releaseTraffic: () => {} },
      backend: { isStandby: false, tap: null, instances: [] },
    };
    const repository = {
      ...{ newcomer: () => undefined, policy: LATEST },
      loaded: {
        held: ({ version }: Revision) => ({ ...held, version, deaths: version === '1' ? deaths : 0 }),
      },
      listed: (name: string) => [revision(name, '1')],
      offer: (each: Revision) => {
        candidate = each;
      },
      commit: () => {
        served = candidate!.version;
        candidate = undefined;
      },
      pins: {
        versions: {},
        servedOf: (name: string) => revision(name, served),
        candidateOf: () => candidate,
      },
    } as unknown as ModelRepository;
    await agent.stop();
    agent = new RolloutAgent({
      ...{ context, service: 'mine', instance: 'mine-1', settings: SETTINGS, store, lives, repository },
      ...{ isProven: () => true, moved: () => {} },
    });
    const names = { service: 'mine', model: 'digits', version: '2', from: '1' };
    const made = beginRollout(
      undefined,
      { ...names, instances: ['mine-1', 'mine-2'], settings: SETTINGS },
      0,
    );
    assert.ok('record' in made);
    const record = goBack(made.record, 'rolled-back', 'mine-2: calls failed');
    assert.ok(await store.write(record, undefined, 'command'));
    const peer = new FileStore(join(scratch.path, 'rollouts'), 'mine-2', context.deps);
    const none = { calls: 0, errors: 0, medianMs: 0 };
    const announce = (serving: string) =>
      peer.announce({
        ...{ instance: 'mine-2', id: record.id, serving, candidate: 'none', why: '', compared: 0 },
        ...{ agreed: 0, difference: '', before: none, after: none },
      });
    const look = async () => {
      await agent.tick();
      await setImmediate();
    };
    await announce('2');
    for (let i = 0; i < 2; i++) await look();
    assert.deepEqual([served, agent.view().record!.state], ['1', 'rolling-back'], 'the other is not back');
    deaths = 2;
    await announce('1');
    await look();
    assert.equal(agent.view().record!.state, 'rolled-back');
    await peer.close();
  });

  it('asks the store before it begins: at its start this replica has read nothing', async () => {
    await storeEnd('digits', '2', 'aborted');
    listed = [revision('digits', '2')];
    await agent.follow();
    assert.equal(agent.view().record, undefined);
    const stored = await store.read();
    assert.equal((stored!.value as { state: string }).state, 'aborted');
  });

  it('begins none of a version that the others have by the last rollout, and that it has still to load itself', async () => {
    await storeEnd('digits', '2', 'done');
    listed = [revision('digits', '2')];
    await agent.follow();
    assert.equal(((await store.read())!.value as { state: string }).state, 'done');
    listed = [revision('digits', '3')];
    await agent.follow();
    assert.equal(underWay(), 'digits 3');
  });

  it('leaves alone what it cannot read, which a later version may have stored', async () => {
    assert.ok(await store.write({ format: 2 }, undefined, 'command'));
    listed = [revision('digits', '2')];
    await agent.follow();
    const begun = await agent.begin('digits', '2', {});
    assert.match(
      begun.kind === 'refused' ? begun.why : '',
      /the stored rollout cannot be read; it is left alone$/,
    );
    assert.deepEqual((await store.read())!.value, { format: 2 });
  });

  it('takes no part while a sidecar of another machine has its instance name', async () => {
    const plan = { service: 'mine', model: 'digits', version: '2', from: '1', settings: SETTINGS };
    const made = beginRollout(undefined, { ...plan, instances: ['mine-1'] }, 0);
    assert.ok('record' in made);
    assert.ok(await store.write(made.record, undefined, 'command'));
    store.claim = () => Promise.reject(new Error('a sidecar on two has the instance name mine-1 too'));
    await agent.tick();
    assert.equal(agent.view().problem, 'a sidecar on two has the instance name mine-1 too');
    assert.deepEqual([await store.received(), underWay()], [[], '']);
  });

  it('knows of no rollout any more once its record is deleted, and still of one that has failed', async () => {
    const remove = () => rmSync(join(scratch.path, 'rollouts', 'rollout.json'));
    listed = [revision('digits', '2')];
    await agent.follow();
    await agent.tick();
    assert.deepEqual([underWay(), agent.isUnderWay], ['digits 2', true]);
    remove();
    await agent.tick();
    assert.deepEqual([agent.view().record, agent.isUnderWay], [undefined, false]);
    await rejected('digits', '2');
    remove();
    await agent.tick();
    await agent.follow();
    assert.equal(underWay(), '');
  });

  it('does not take what it read before a command for what is stored', async () => {
    await rejected('digits', '2');
    const { read } = store;
    let answer: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    store.read = async () => {
      const old = await read.call(store);
      await held;
      return old;
    };
    const look = agent.tick();
    store.read = read;
    const begun = await agent.begin('words', '2', {});
    assert.equal(begun.kind, 'done');
    answer();
    await look;
    assert.equal(underWay(), 'words 2');
  });

  it('does not begin again what an operator has aborted, whatever was rejected here before', async () => {
    const facts = { load: 'failed', processes: [], isHeld: true, isProven: false, suspicion: '' } as const;
    const why = 'the golden output differs';
    lives.observe(revision('digits', '2', 'bad'), { ...facts, rejection: why }, why);
    await rejected('digits', '2', 'aborted');
    listed = [revision('digits', '2', 'mended')];
    await agent.follow();
    assert.equal(underWay(), '');
  });
});
