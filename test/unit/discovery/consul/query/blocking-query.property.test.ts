/** Whatever an agent does, in whatever order: what is known stays, users hear of changes only, and reads are few. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { kit, type Read } from '../../../../kit/consul/scripted-agent.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

type Act =
  | { readonly kind: 'answer'; readonly index: number | undefined; readonly body: string }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'unreachable' | 'too-large' | 'hang' | 'garbage' }
  /** Before the answer: the user doubts what is known. */
  | { readonly kind: 'doubt' };

interface Step {
  readonly afterMs: number;
  readonly act: Act;
}

const STATUS = fc.constantFrom(403, 404, 429, 500);
const SIMPLE = ['unreachable', 'too-large', 'hang', 'garbage', 'doubt'] as const;
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      index: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined, freq: 8 }),
      body: fc.constantFrom('[]', '["a"]', '["b"]', '["c"]'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('status' as const), status: STATUS }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom(...SIMPLE) }) },
);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ afterMs: fc.constantFrom(0, 0, 0, 1, 50, 900, 5_000, 60_000), act }),
  { maxLength: 60 },
);

function perform(read: Read, { kind, ...what }: Exclude<Act, { kind: 'doubt' }>): void {
  if (!read.isOpen) return;
  if (kind === 'answer') {
    const { index, body } = what as { index: number | undefined; body: string };
    void read.answer(index, body);
  } else if (kind === 'status') void read.refuse((what as { status: number }).status, 'no');
  else if (kind === 'garbage') void read.answer(3, '["a"');
  else if (kind !== 'hang') void read.break(kind);
}

describe('a blocking query, whatever the agent does', () => {
  it('keeps what it knows, tells of changes only, reads seldom, and finds its way back', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), fc.integer(), async (script, hasCache, seed) => {
        const { agent, clock, watches } = kit({}, seeded(seed));
        const given = new Set<string>(hasCache ? ['["kept"]'] : []);
        const told: { value: string; from: string }[] = [];
        const cache = hasCache ? { cache: { load: () => ['kept'], save: () => {} } } : {};
        const parse = (body: Buffer) => JSON.parse(body.toString()) as string[];
        const spec = { key: 'k', name: 'k', path: '/k', query: {}, parse, ...cache };
        const watch = watches.watch<string[]>(spec, (value, from) => {
          told.push({ value: JSON.stringify(value), from });
        });

        const left = [...script];
        let mostOpen = 0;
        agent.onRead = (read) => {
          mostOpen = Math.max(mostOpen, agent.open.length);
          const step = left.shift();
          if (step === undefined) {
            // The agent is well again, and has news once.
            if (read.index !== '100') void read.answer(100, '["well"]');
            return;
          }
          clock.after(step.afterMs, () => {
            if (step.act.kind === 'doubt') {
              watch.reread('so');
              if (read.isOpen) void read.answer(2, '["b"]');
            } else {
              perform(read, step.act);
            }
          });
          if (step.act.kind === 'answer') given.add(step.act.body);
          if (step.act.kind === 'doubt') given.add('["b"]');
        };
        // The first read began before the script was there.
        const first = agent.one;
        agent.onRead(first);

        for (let i = 0; i < 10_000 && left.length > 0; i++)
          await clock.settle(clock.nextDueMs() - clock.now());
        assert.equal(left.length, 0, 'it goes on reading');
        given.add('["well"]');
        await clock.settle(330_000 + 40_000);

        assert.equal(mostOpen, 1);
        assert.equal(told.at(-1)?.value, '["well"]');
        assert.equal(watch.status().state, 'current');
        for (const [i, { value, from }] of told.entries()) {
          assert.ok(given.has(value), `${value} was never answered`);
          const before = told[i - 1];
          if (before?.from === 'agent') assert.notEqual(value, before.value, 'told twice');
          if (from === 'cache') assert.equal(i, 0, 'the cache speaks first or never');
        }
        for (let from = 0; from < agent.reads.length; from++)
          for (let to = from + 5; to < agent.reads.length; to++) {
            const spanMs = agent.reads[to]!.atMs - agent.reads[from]!.atMs;
            assert.ok(to - from + 1 <= 5 + spanMs / 1_000 + 1e-3, 'too many reads');
          }
        watches.close();
        await clock.settle();
        assert.equal(clock.pending(), 0, 'nothing is left behind');
      }),
      { numRuns: 150, seed: 7 },
    );
  });
});
