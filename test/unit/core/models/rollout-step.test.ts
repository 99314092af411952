/** The steps of a rollout: by what replicas say, by whichever sidecar leads. */
import assert from 'node:assert/strict';
import {
  beginRollout,
  commandRollout,
  isOver,
  type ReplicaFacts,
  type RolloutRecord,
  type RolloutSettings,
} from '../../../../sidecar/core/models/rollout.js';
import { nextStep } from '../../../../sidecar/core/models/rollout-step.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };
const NO_CALLS = { calls: 0, errors: 0, medianMs: 0 };

/** What is wrong with the version at a replica, from a phase on. */
interface Fault {
  readonly in: 'loading' | 'shadow' | 'canary' | 'watching';
  readonly facts: Partial<ReplicaFacts>;
}

/** Replicas that do at once what the record says, and a record that every leader reads anew. */
class Fleet {
  nowMs = 0;
  record: RolloutRecord;
  readonly alive = new Set(['mine-1', 'mine-2', 'mine-3']);
  readonly told: string[] = [];
  private readonly serving = new Map<string, string>();

  constructor(
    private readonly fault?: Fault,
    settings: Partial<RolloutSettings> = {},
  ) {
    const plan = { service: 'mine', model: 'digits', version: '2', from: '1', instances: ['mine-1'] };
    const made = beginRollout(undefined, { ...plan, settings: { ...SETTINGS, ...settings } }, 0);
    assert.ok('record' in made);
    this.record = made.record;
  }

  /** What the replicas that are alive say. */
  facts(): ReadonlyMap<string, ReplicaFacts> {
    const entries = [...this.alive].map((instance) => [instance, this.factsOf(instance)] as const);
    return new Map(entries);
  }

  private factsOf(instance: string): ReplicaFacts {
    const { id, state } = this.record;
    const phase = this.record.replicas.find((each) => each.instance === instance)?.phase ?? 'waiting';
    const isBack = state !== 'running' && state !== 'paused' && state !== 'done';
    if (isBack) this.serving.set(instance, '1');
    else if (phase === 'done') this.serving.set(instance, '2');
    const serving = this.serving.get(instance) ?? '1';
    const candidate = isBack || phase === 'waiting' || phase === 'done' ? 'none' : 'proven';
    const good = { compared: 50, agreed: 50, difference: '', before: NO_CALLS, after: NO_CALLS };
    const facts: ReplicaFacts = { instance, id, serving, candidate, why: '', ...good };
    return this.fault?.in === phase && candidate !== 'none' ? { ...facts, ...this.fault.facts } : facts;
  }

  /** One look of a leader. True: it has stored something. */
  look(): boolean {
    const next = nextStep(this.record, this.facts(), this.nowMs);
    if (next === undefined) return false;
    this.record = next;
    const phases = next.replicas.map(({ phase }) => phase).join(' ');
    this.told.push(`${next.state}: ${phases}`);
    return true;
  }

  /** Looks every half second until it is over, at most ten minutes. */
  run(): RolloutRecord {
    for (const endMs = this.nowMs + 600_000; this.nowMs < endMs && !isOver(this.record); this.nowMs += 500)
      this.look();
    return this.record;
  }
}

describe('a rollout, step by step', () => {
  it('takes one replica after the other through all phases, newcomers too', () => {
    const fleet = new Fleet();
    assert.equal(fleet.run().state, 'done');
    assert.deepEqual(fleet.told.slice(0, 6), [
      'running: waiting waiting waiting',
      'running: loading waiting waiting',
      'running: shadow waiting waiting',
      'running: watching waiting waiting',
      'running: done waiting waiting',
      'running: done loading waiting',
    ]);
    for (const line of fleet.told)
      assert.ok((line.match(/loading|shadow|canary|watching/g) ?? []).length <= 1, line);
    assert.ok(fleet.nowMs >= 30_000, 'each replica is watched for a window');
  });

  it('has a canary between shadow and all calls where one is asked for', () => {
    const fleet = new Fleet(undefined, { canary: 0.05 });
    assert.equal(fleet.run().state, 'done');
    assert.ok(fleet.told.includes('running: canary waiting waiting'));
    assert.ok(fleet.nowMs >= 60_000, 'each replica is watched for two windows');
  });

  const bad = { why: 'the golden output differs' };
  const tally = (calls: number, errors: number, medianMs: number) => ({ calls, errors, medianMs });
  const faults: readonly (readonly [string, Fault, string, RegExp])[] = [
    [
      'is missing',
      { in: 'loading', facts: { candidate: 'missing', why: 'there is no version 2 in the directory' } },
      'rejected',
      /mine-1: there is no version 2/,
    ],
    ['is corrupt', { in: 'loading', facts: { candidate: 'failed', ...bad } }, 'rejected', /golden/],
    [
      'does not become ready in time',
      { in: 'loading', facts: { candidate: 'loading' } },
      'rejected',
      /not ready within 60 s/,
    ],
    [
      'is slow',
      { in: 'shadow', facts: { compared: 30, before: tally(30, 0, 4), after: tally(30, 0, 40) } },
      'rejected',
      /median of 40 ms/,
    ],
    [
      'has another shape',
      {
        in: 'shadow',
        facts: {
          compared: 12,
          agreed: 0,
          difference: 'output probabilities has 1×10 elements, and 1×9 in the copy',
        },
      },
      'rejected',
      /0 % of 12 answers agree.*1×9 in the copy/,
    ],
    ['agrees in 60 %', { in: 'shadow', facts: { compared: 50, agreed: 30 } }, 'rejected', /60 % of 50/],
    [
      'fails calls after the flip',
      { in: 'watching', facts: { before: tally(500, 0, 4), after: tally(100, 30, 4) } },
      'rolled-back',
      /30 % of 100 calls failed/,
    ],
    [
      'dies after the flip',
      { in: 'watching', facts: { candidate: 'failed', why: 'killed by SIGSEGV' } },
      'rolled-back',
      /SIGSEGV/,
    ],
  ];
  for (const [what, fault, end, why] of faults)
    it(`goes back by itself when the version ${what}`, () => {
      const fleet = new Fleet(fault);
      const record = fleet.run();
      assert.equal(record.state, end);
      assert.match(record.why, why);
      assert.ok(
        fleet.told.every((line) => !/done/.test(line)),
        'no replica was left with it',
      );
      for (const each of fleet.facts().values()) assert.equal(each.serving, '1');
    });

  it('goes back when the processes of a replica that is done end again and again', () => {
    const fleet = new Fleet();
    while (fleet.record.replicas[0]!.phase !== 'done') {
      fleet.look();
      fleet.nowMs += 500;
    }
    const why = 'its processes have ended 2 times';
    const facts = new Map(fleet.facts());
    facts.set('mine-1', { ...facts.get('mine-1')!, candidate: 'failed', why });
    const next = nextStep(fleet.record, facts, fleet.nowMs)!;
    assert.deepEqual([next.state, next.end, next.why], ['rolling-back', 'rolled-back', `mine-1: ${why}`]);
  });

  it('waits ten seconds for a version that is still being copied', () => {
    const fleet = new Fleet({ in: 'loading', facts: { candidate: 'missing', why: 'there is none' } });
    while (fleet.look());
    fleet.nowMs = 10_000;
    assert.equal(fleet.look(), false);
    fleet.nowMs = 10_001;
    assert.equal(fleet.look(), true);
  });

  it('comes to the same end whichever leader ends in whichever state, before or after it has stored its step', () => {
    const whole = new Fleet(undefined, { canary: 0.1 });
    whole.run();
    for (let killed = 0; killed < whole.told.length; killed++)
      for (const hasStored of [true, false]) {
        const fleet = new Fleet(undefined, { canary: 0.1 });
        for (let stored = 0; stored < killed; fleet.nowMs += 500) if (fleet.look()) stored++;
        // What the leader has decided is lost with it, or is the record that the next one reads as JSON.
        const before = fleet.record;
        fleet.look();
        fleet.record = JSON.parse(JSON.stringify(hasStored ? fleet.record : before));
        fleet.nowMs += 15_000;
        assert.equal(fleet.run().state, 'done');
        assert.deepEqual([...new Set(fleet.record.replicas.map(({ phase }) => phase))], ['done']);
      }
  });

  it('passes over a replica that does not answer, and comes back to it', () => {
    const fleet = new Fleet();
    fleet.look();
    fleet.look();
    assert.equal(fleet.record.replicas[0]!.phase, 'loading');
    fleet.alive.delete('mine-1');
    fleet.look();
    assert.equal(fleet.record.replicas[0]!.phase, 'waiting');
    for (let i = 0; i < 200; i++, fleet.nowMs += 500) fleet.look();
    assert.deepEqual(
      fleet.record.replicas.map(({ phase }) => phase),
      ['waiting', 'done', 'done'],
    );
    assert.equal(fleet.record.state, 'running', 'it is not over without it');
    fleet.alive.add('mine-1');
    assert.equal(fleet.run().state, 'done');
  });

  it('ends without a replica that never comes back, after five minutes in which only that one was left', () => {
    const fleet = new Fleet();
    fleet.alive.delete('mine-3');
    fleet.record = {
      ...fleet.record,
      replicas: ['mine-1', 'mine-3'].map((instance) => ({ instance, phase: 'waiting', sinceMs: 0 })),
    };
    const leave = (): void => {
      while (fleet.record.absentSinceMs === undefined) {
        fleet.nowMs += 500;
        fleet.look();
      }
      assert.match(fleet.record.why, /no answer from mine-3/);
    };
    leave();
    fleet.nowMs += 299_000;
    assert.equal(fleet.look(), false);
    fleet.alive.add('mine-4');
    while (!fleet.record.replicas.some(({ instance, phase }) => instance === 'mine-4' && phase === 'done')) {
      fleet.nowMs += 500;
      fleet.look();
    }
    assert.equal(fleet.record.state, 'running', 'a newcomer had its turn, and the time begins anew');
    leave();
    fleet.nowMs += 300_000;
    fleet.look();
    assert.equal(fleet.record.state, 'done');
    assert.match(fleet.record.why, /every replica that answers serves it; no answer from mine-3 for 5 min/);
  });

  it('has the whole time for an absent replica after a pause', () => {
    const fleet = new Fleet();
    fleet.alive.delete('mine-3');
    fleet.record = { ...fleet.record, replicas: [{ instance: 'mine-3', phase: 'waiting', sinceMs: 0 }] };
    while (fleet.record.absentSinceMs === undefined) {
      fleet.nowMs += 500;
      fleet.look();
    }
    const paused = commandRollout(fleet.record, 'pause', fleet.nowMs);
    assert.ok('record' in paused);
    fleet.nowMs += 3_600_000;
    const resumed = commandRollout(paused.record, 'resume', fleet.nowMs);
    assert.ok('record' in resumed);
    assert.equal(resumed.record.absentSinceMs, undefined);
  });

  it('lets a replica begin anew whose sidecar has started again before it was missed, with a whole window', () => {
    for (const phase of ['shadow', 'canary', 'watching']) {
      const fleet = new Fleet(undefined, { canary: 0.1 });
      while (fleet.record.replicas[0]!.phase !== phase) {
        fleet.look();
        fleet.nowMs += 500;
      }
      fleet.nowMs += 60_000;
      const restarted = new Map(fleet.facts());
      restarted.set('mine-1', { ...restarted.get('mine-1')!, candidate: 'loading', compared: 0, agreed: 0 });
      const next = nextStep(fleet.record, restarted, fleet.nowMs);
      assert.ok(next !== undefined, phase);
      const { phase: after, sinceMs: began } = next.replicas[0]!;
      assert.deepEqual([after, began], ['loading', fleet.nowMs], phase);
      fleet.record = next;
      const sinceMs = fleet.nowMs;
      while (fleet.record.replicas[0]!.phase !== 'done') {
        fleet.look();
        fleet.nowMs += 500;
      }
      assert.ok(fleet.nowMs - sinceMs >= 2 * SETTINGS.windowMs, 'it is watched for two whole windows');
    }
  });

  it('has the whole time for a load that a long pause came before', () => {
    const fleet = new Fleet({ in: 'loading', facts: { candidate: 'none' } });
    while (fleet.look());
    assert.equal(fleet.record.replicas[0]!.phase, 'loading');
    const paused = commandRollout(fleet.record, 'pause', fleet.nowMs);
    assert.ok('record' in paused);
    fleet.nowMs += 3_600_000;
    const resumed = commandRollout(paused.record, 'resume', fleet.nowMs);
    assert.ok('record' in resumed);
    fleet.record = resumed.record;
    assert.equal(fleet.look(), false);
    fleet.nowMs += SETTINGS.loadMs;
    assert.equal(fleet.look(), false);
    fleet.nowMs += 1;
    assert.equal(fleet.look(), true);
  });

  it('does nothing while it is paused, and all that is left when it goes on', () => {
    const fleet = new Fleet();
    for (let i = 0; i < 4; i++) fleet.look();
    const paused = commandRollout(fleet.record, 'pause', fleet.nowMs);
    assert.ok('record' in paused);
    fleet.record = paused.record;
    fleet.nowMs += 3_600_000;
    assert.equal(fleet.look(), false);
    const resumed = commandRollout(fleet.record, 'resume', fleet.nowMs);
    assert.ok('record' in resumed);
    fleet.record = resumed.record;
    assert.equal(fleet.run().state, 'done');
  });

  it('waits for a replica that has not read the record yet', () => {
    const fleet = new Fleet();
    fleet.look();
    fleet.look();
    const facts = new Map(fleet.facts());
    facts.set('mine-1', { ...facts.get('mine-1')!, id: 'another' });
    assert.equal(nextStep(fleet.record, facts, 1_000), undefined);
  });

  it('passes a replica that serves the version already, as one that was added meanwhile', () => {
    const fleet = new Fleet();
    fleet.look();
    fleet.look();
    const facts = new Map(fleet.facts());
    const missing = { candidate: 'missing', why: 'there is no version 2 in the directory' } as const;
    facts.set('mine-1', { ...facts.get('mine-1')!, ...missing, serving: '2' });
    const next = nextStep(fleet.record, facts, 1_000);
    assert.deepEqual([next?.state, next?.replicas[0]?.phase], ['running', 'done']);
    const changed = { ...fleet.record, from: '2' };
    assert.equal(nextStep(changed, facts, 1_000), undefined);
    assert.equal(nextStep(changed, facts, 11_000)?.state, 'rolling-back');
  });

  it('is over only once every replica is back', () => {
    const fleet = new Fleet();
    const aborted = commandRollout(fleet.record, 'abort', fleet.nowMs);
    assert.ok('record' in aborted);
    const facts = new Map(fleet.facts());
    facts.set('mine-2', { ...facts.get('mine-2')!, serving: '2' });
    assert.equal(nextStep(aborted.record, facts, 0), undefined);
    fleet.record = aborted.record;
    assert.equal(fleet.run().state, 'aborted');
  });

  describe('on its way back', () => {
    const rollingBack = (over: Partial<RolloutRecord> = {}): RolloutRecord => {
      const aborted = commandRollout({ ...new Fleet().record, ...over }, 'abort', 0);
      assert.ok('record' in aborted);
      return aborted.record;
    };

    it('waits for no replica that serves another version than these two, or none', () => {
      const record = rollingBack();
      const facts = new Map(new Fleet().facts());
      for (const serving of ['3', '']) {
        facts.set('mine-2', { ...facts.get('mine-2')!, id: record.id, serving });
        assert.equal(nextStep(record, facts, 0)?.state, 'aborted', serving);
      }
      facts.set('mine-2', { ...facts.get('mine-2')!, candidate: 'proven' });
      assert.equal(nextStep(record, facts, 0), undefined, 'it has the new version still');
    });

    /** What a replica does with a record that goes back, one look after the other; the version before takes a while to load. */
    const backAgain = (
      own: ReplicaFacts,
      { version, from }: RolloutRecord,
      whims: () => number,
    ): ReplicaFacts => {
      if (own.serving !== version || version === from) return { ...own, candidate: 'none' };
      const isLoaded = own.candidate === 'loading' && whims() < 0.5;
      return isLoaded ? { ...own, candidate: 'none', serving: from } : { ...own, candidate: 'loading' };
    };

    it('always ends while replicas answer, whatever they serve and whichever of them go, and no earlier than the last is back', () => {
      for (let seed = 1; seed <= 300; seed++) {
        const whims = seeded(seed);
        const oneOf = <T>(...of: readonly T[]): T => of[Math.floor(whims() * of.length)]!;
        const [version, from] = oneOf(['2', '1'], ['1', '2'], ['2', '2']) as [string, string];
        let record = rollingBack({ version, from });
        const facts = new Map(new Fleet().facts());
        for (const instance of [...facts.keys(), 'late'])
          facts.set(instance, {
            ...facts.get('mine-1')!,
            ...{ instance, id: oneOf(record.id, record.id, 'another'), serving: oneOf('1', '2', '3', '') },
            candidate: oneOf('none', 'missing', 'loading', 'proven', 'failed'),
          });
        let looks = 0;
        for (; !isOver(record); looks++) {
          assert.ok(looks < 100, `seed ${seed}: ${JSON.stringify([...facts.values()])}`);
          for (const [instance, own] of facts) {
            if (facts.size > 1 && whims() < 0.02) facts.delete(instance);
            else if (whims() < 0.5) facts.set(instance, { ...backAgain(own, record, whims), id: record.id });
          }
          record = nextStep(record, facts, looks) ?? record;
        }
        assert.equal(record.state, 'aborted');
        for (const { serving, candidate } of facts.values()) {
          assert.equal(candidate, 'none', `seed ${seed}`);
          assert.ok(serving !== version || version === from, `seed ${seed}`);
        }
      }
    });
  });
});
