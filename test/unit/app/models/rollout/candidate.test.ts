/** A version on its way into service at one replica: what is counted, and what a second attempt begins with. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initialRevisions } from '../../../../../sidecar/app/models/initial-revisions.js';
import { LoadedRevision } from '../../../../../sidecar/app/models/loaded-revision.js';
import type { RevisionOwner } from '../../../../../sidecar/app/models/loaded-revisions.js';
import { ModelRepository } from '../../../../../sidecar/app/models/model-repository.js';
import { Candidate } from '../../../../../sidecar/app/models/rollout/candidate.js';
import { judgeWatch } from '../../../../../sidecar/core/models/rollout-judgement.js';
import { SETTLE_MS } from '../../../../../sidecar/core/models/settled-listing.js';
import { LATEST } from '../../../../../sidecar/core/models/version-policy.js';
import { Status } from '../../../../../sidecar/core/outcome/status.js';
import { listRevisions } from '../../../../../sidecar/health/model/model-revisions.js';
import type { InboundCall } from '../../../../../sidecar/inbound/call.js';
import type { CallTap } from '../../../../../sidecar/inbound/call-tap.js';
import type { ModelBackend } from '../../../../../sidecar/inbound/model-backend.js';
import type { ModelState } from '../../../../../sidecar/inbound/model-instance.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';
import { anAppContext } from '../../../../kit/stack/app-context.js';
import { Stack } from '../../../../kit/stack/stack.js';

const SETTINGS = { canary: 0, samples: 0 };
const WATCHED = { ...SETTINGS, windowMs: 10_000, agreement: 0.98, maxLatency: 2, loadMs: 60_000 };

/** What a backend and a model server are to a candidate. */
class Served {
  readonly instances: { state: ModelState; isReady: boolean }[] = [
    { state: { kind: 'starting' }, isReady: false },
  ];
  readonly isWarming = false;
  isRetired = false;
  isStandby = false;
  share = 1;
  tap: CallTap | null = null;
  restarts = 0;

  report() {
    return { state: 'ready', why: '', restarts: this.restarts };
  }
  retire(): void {
    this.isRetired = true;
  }
  whenIdle(fn: () => void): void {
    fn();
  }
  async end(): Promise<void> {}

  /** One call of this version has ended. */
  answer(status: number, startMs: number): void {
    const call = { attempt: { startMs }, plan: { holdsResponse: true }, tee: null };
    this.tap!.onEnd(call as unknown as InboundCall, status);
  }
}

describe('the candidate of a rollout', () => {
  const scratch = scratchForEach();
  let stack: Stack;
  let repository: ModelRepository;
  let served: Served[];
  let candidate: Candidate;

  beforeEach(() => {
    stack = new Stack();
    served = [];
    for (const version of ['1', '2']) {
      mkdirSync(join(scratch.path, 'digits', version), { recursive: true });
      writeFileSync(join(scratch.path, 'digits', version, 'model.onnx'), `model ${version}`);
    }
    const owner: RevisionOwner = {
      open: (revision, isInitial) => {
        const each = new Served();
        served.push(each);
        return new LoadedRevision(revision, each as unknown as ModelBackend, [each as never], isInitial);
      },
      ...{ run: () => {}, close: () => {}, served: () => {}, moved: () => {}, listed: () => {} },
    };
    const context = anAppContext(stack);
    const settings = { directory: scratch.path, policy: LATEST, control: 'rollout' as const, pollMs: 1_000 };
    const all = { ...settings, drainTimeoutMs: () => 30_000 };
    repository = new ModelRepository(all, owner, context);
    const pinned = { isRejected: () => false, pinned: { digits: '1' } };
    repository.begin(
      initialRevisions(all, pinned).map((each) => owner.open(each, true)),
      listRevisions(scratch.path),
    );
    becomesReady(0);
    candidate = new Candidate('digits', '2', { repository, context, isProven: () => true, moved: () => {} });
  });
  afterEach(() => candidate.close());

  const becomesReady = (i: number): void => {
    const [instance] = served[i]!.instances;
    instance!.state = { kind: 'ready' };
    instance!.isReady = true;
    repository.changed(repository.loaded.all.find(({ backend }) => (backend as unknown) === served[i])!);
  };
  /** The candidate is loaded by the `i`-th set of processes, and watched. */
  const watch = (i: number): void => {
    candidate.enact('loading', SETTINGS);
    becomesReady(i);
    candidate.enact('shadow', SETTINGS);
    candidate.enact('watching', SETTINGS);
  };

  it('gets no call before it is watched, and then all of them', () => {
    candidate.enact('loading', SETTINGS);
    assert.equal(candidate.facts().candidate, 'loading');
    becomesReady(1);
    candidate.enact('shadow', SETTINGS);
    assert.equal(served[1]!.share, 0);
    candidate.enact('watching', SETTINGS);
    assert.deepEqual([served[0]!.isStandby, served[1]!.isStandby, served[1]!.share], [true, false, 1]);
    assert.equal(candidate.facts().candidate, 'proven');
  });

  it('gets none again where it begins anew, as its model was not ready for a while', () => {
    watch(1);
    candidate.enact('loading', SETTINGS);
    candidate.enact('shadow', SETTINGS);
    assert.deepEqual([served[0]!.isStandby, served[1]!.share], [false, 0]);
    candidate.enact('watching', SETTINGS);
    assert.deepEqual([served[0]!.isStandby, served[1]!.share], [true, 1]);
  });

  it('counts calls of both versions, and gives calls back where too many fail', () => {
    watch(1);
    for (let i = 0; i < 20; i++) served[0]!.answer(Status.OK, 0);
    for (let i = 0; i < 4; i++) served[1]!.answer(Status.INTERNAL, 0);
    assert.equal(served[0]!.isStandby, true);
    served[1]!.answer(Status.INTERNAL, 0);
    assert.deepEqual([served[0]!.isStandby, served[1]!.isStandby], [false, true]);
    const { before, after } = candidate.facts();
    assert.deepEqual([before.calls, before.errors, after.calls, after.errors], [20, 0, 5, 5]);
  });

  it('leaves calls where they are when its callers make mistakes, as they would at the version before', () => {
    candidate.enact('loading', SETTINGS);
    becomesReady(1);
    candidate.enact('shadow', SETTINGS);
    for (let i = 0; i < 200; i++) served[0]!.answer(Status.OK, 0);
    stack.clock.advance(1_000);
    candidate.enact('watching', SETTINGS);
    for (let i = 0; i < 30; i++) served[0]!.answer(Status.OK, 990);
    for (let i = 0; i < 100; i++) served[1]!.answer(i % 6 === 0 ? Status.INVALID_ARGUMENT : Status.OK, 1_000);
    assert.deepEqual([served[0]!.isStandby, served[1]!.isStandby], [true, false]);
    const facts = { ...candidate.facts(), instance: 'digits-1', id: 'x' };
    const { kind, why } = { why: '', ...judgeWatch(facts, WATCHED, WATCHED.windowMs) };
    assert.deepEqual([kind, why], ['passed', '0 of 100 calls failed']);
  });

  it('begins with no calls counted when it is loaded anew, after its turn was taken away or it was withdrawn', () => {
    watch(1);
    served[1]!.answer(Status.INTERNAL, 0);
    candidate.enact('waiting', SETTINGS);
    assert.equal(repository.pins.candidateOf('digits'), undefined);
    watch(2);
    assert.deepEqual(candidate.facts().after.errors, 0);
    served[2]!.answer(Status.INTERNAL, 0);
    assert.deepEqual(candidate.facts().after.errors, 1);
    candidate.withdraw('calls failed');
    watch(3);
    assert.deepEqual(candidate.facts().after.errors, 0);
  });

  it('fails once its process has ended under calls, although it is ready again', () => {
    candidate.enact('loading', SETTINGS);
    served[1]!.restarts = 1;
    becomesReady(1);
    candidate.enact('shadow', SETTINGS);
    candidate.enact('watching', SETTINGS);
    assert.equal(candidate.facts().candidate, 'proven', 'a start that took two attempts is none of that');
    served[1]!.restarts = 2;
    const { candidate: found, why } = candidate.facts();
    assert.deepEqual([found, why], ['failed', 'its process has ended since its golden output passed']);
    candidate.withdraw(why);
    watch(2);
    assert.equal(candidate.facts().candidate, 'proven', 'these are other processes');
    candidate.enact('done', SETTINGS);
    served[2]!.restarts = 1;
    assert.equal(candidate.facts().candidate, 'none', 'once it serves, one end may be chance');
    served[2]!.restarts = 2;
    assert.match(candidate.facts().why, /^its processes have ended 2 times since/);
  });

  it('fails by calls after its window, until the rollout is over', () => {
    watch(1);
    for (let i = 0; i < 20; i++) served[0]!.answer(Status.OK, 0);
    candidate.enact('done', SETTINGS);
    for (let i = 0; i < 4; i++) served[1]!.answer(Status.INTERNAL, 0);
    assert.equal(candidate.facts().candidate, 'none', 'so few may be chance');
    served[1]!.answer(Status.INTERNAL, 0);
    const { candidate: found, why } = candidate.facts();
    assert.deepEqual([found, why], ['failed', '5 of 5 calls failed, the last of them after its window']);
    candidate.close();
    assert.equal(candidate.facts().candidate, 'none');
    assert.equal(served[1]!.tap, null, 'nobody counts any more');
  });

  it('fails after its window by what its processes and fresh ones in their place did', () => {
    for (const how of ['calls', 'ends'] as const) {
      const at = served.length;
      watch(at);
      for (let i = 0; i < 20; i++) served.at(-2)!.answer(Status.OK, 0);
      candidate.enact('done', SETTINGS);
      if (how === 'calls') for (let i = 0; i < 3; i++) served[at]!.answer(Status.INTERNAL, 0);
      else served[at]!.restarts = 1;
      const [old] = repository.loaded.all.filter(({ backend }) => (backend as unknown) === served[at]);
      repository.loaded.renew(old!);
      candidate.enact('done', SETTINGS);
      becomesReady(at + 1);
      repository.loaded.retire(old!);
      candidate.enact('done', SETTINGS);
      assert.equal(candidate.facts().candidate, 'none');
      if (how === 'calls') for (let i = 0; i < 2; i++) served[at + 1]!.answer(Status.INTERNAL, 0);
      else served[at + 1]!.restarts = 1;
      assert.match(
        candidate.facts().why,
        how === 'calls' ? /^5 of 5 calls failed/ : /^its processes have ended 2 times/,
      );
      candidate.close();
      assert.equal(served[at + 1]!.tap, null);
      writeFileSync(join(scratch.path, 'digits', '2', 'model.onnx'), 'model 2, trained anew');
      repository.listed('digits');
      stack.clock.advance(SETTLE_MS);
    }
  });

  it('does not fail after its window by what failed at the version before as often', () => {
    candidate.enact('loading', SETTINGS);
    becomesReady(1);
    candidate.enact('shadow', SETTINGS);
    for (let i = 0; i < 200; i++) served[0]!.answer(i % 5 === 0 ? Status.INTERNAL : Status.OK, 0);
    candidate.enact('watching', SETTINGS);
    candidate.enact('done', SETTINGS);
    for (let i = 0; i < 100; i++) {
      served[1]!.answer(i % 5 === 0 ? Status.INTERNAL : Status.OK, 0);
      assert.equal(candidate.facts().candidate, 'none');
    }
  });

  it('is not held against other files of its version how often the processes before them ended', () => {
    watch(1);
    candidate.enact('done', SETTINGS);
    served[1]!.restarts = 2;
    assert.equal(candidate.facts().candidate, 'failed');
    writeFileSync(join(scratch.path, 'digits', '2', 'model.onnx'), 'model 2, trained anew');
    repository.listed('digits');
    stack.clock.advance(SETTLE_MS);
    candidate.enact('waiting', SETTINGS);
    assert.equal(candidate.facts().candidate, 'none', 'a rollout that goes back waits for that');
    watch(2);
    assert.equal(candidate.facts().candidate, 'proven');
    candidate.withdraw('calls failed');
    assert.equal(candidate.facts().candidate, 'none');
  });
});
