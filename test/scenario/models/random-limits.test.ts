/**
 * Every limit of the inbound side at once, changed while calls come, leave, run out of time, are answered or fail, memory
 * comes and goes and the model too. No place is lost, no waiting call is forgotten, no bound is passed.
 */
import assert from 'node:assert/strict';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { runs } from '../../kit/mocha/effort.js';
import { type Application, anInbound, aRoute, type InboundOptions, Stack } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const ALLOW_ALL = [{ from: '*', to: 'digits', action: 'allow' }] as const;
const STEPS = 400;
const RATE = { callers: ['batch'], methods: ['*'], perSecond: 20 };

describe('Scenario: the limits under random load', () => {
  const reasons = new Set<string>();
  after(() => {
    const met = ['overloaded', 'rate-limited', 'memory-pressure', 'queue-expired', 'deadline-exceeded'];
    for (const reason of met) assert.ok(reasons.has(reason), `nothing ended as ${reason}`);
  });

  for (let seed = 1; seed <= runs(4); seed++) {
    it(`lose no place and no waiting call (seed ${seed})`, () => {
      const random = seeded(seed);
      const upTo = (n: number): number => Math.floor(random() * n);
      const config = (): InboundOptions => ({ intentions: ALLOW_ALL, ...limits(upTo) });
      let usedBytes = 50;
      const stack = new Stack({ seed });
      const readMemory = () => ({ usedBytes, limitBytes: 100 });
      const side = stack.inbound(anInbound(config()), { readMemory });
      const apps: Application[] = ['web', 'batch', 'cron'].map((name) => stack.app(side.listener, name));
      const calls: PeerStream[] = [];
      let answered = 0;

      const act: readonly (() => void)[] = [
        ...new Array<() => void>(8).fill(() => {
          const metadata =
            upTo(2) === 0 ? [] : [['x-class', ['now', 'later', 'never', '\u00ff'][upTo(4)]!] as const];
          const timeout = ['50m', '300m', '5S'][upTo(3)]!;
          calls.push(apps[upTo(3)]!.call({ timeout, metadata, body: Buffer.alloc(upTo(2_000)) }));
        }),
        ...new Array<() => void>(6).fill(() => {
          const stream = side.model.requests[answered];
          if (stream?.isEnded !== true) return;
          answered++;
          if (stream.resetCode !== undefined) return;
          if (upTo(8) === 0) stream.fail(13);
          else if (upTo(12) === 0) stream.reset(7);
          else stream.reply();
        }),
        // Its caller leaves, and hears no more of it.
        () => void calls.splice(upTo(calls.length), 1)[0]?.reset(),
        () => stack.advance(upTo(200)),
        () => {
          usedBytes = [50, 50, 86, 95][upTo(4)]!;
        },
        () => {
          if (upTo(4) > 0) return;
          const next = anInbound(config());
          side.inbound.state.update(next, side.intentions(next.intentions), side.listener.sessions);
        },
        () => {
          if (upTo(6) > 0) return;
          stack.settle(side.instance.setState({ kind: 'away', why: 'for a while' }));
          side.instance.setState({ kind: 'ready' });
        },
      ];
      for (let i = 0; i < STEPS; i++) {
        act[upTo(act.length)]!();
        if (upTo(3) > 0) stack.advance(upTo(20));
        const { queue } = side.backend;
        assert.ok(queue.waiting >= 0 && queue.running >= 0 && queue.waitingBytes >= 0);
        assert.ok(queue.waiting < 8 && queue.running <= 8, 'a bound that no configuration passes');
      }

      stack.advance(6_000);
      for (const stream of calls) assert.ok(stream.isOver, 'a call has been forgotten');
      for (const { byReason } of stack.context.stats.calls)
        for (const reason of byReason.keys()) reasons.add(reason);
      stack.assertIdle();
    });
  }
});

/** Some of all limits there are, small enough to be met. */
function limits(upTo: (n: number) => number): InboundOptions {
  const concurrency = 1 + upTo(4);
  const classes = ['now later', 'later now never', 'now never'][upTo(3)]!.split(' ');
  return {
    queue: {
      concurrency,
      maxWaiting: upTo(8),
      maxWaitingBytes: 1_000 + upTo(10_000),
      fair: upTo(2) === 0,
      ...(upTo(2) === 0 ? {} : { adaptive: { min: 1, max: 8 } }),
      ...(upTo(2) === 0 ? {} : { priority: { key: 'x-class', classes, defaultClass: classes.at(-1)! } }),
    },
    ...(upTo(2) === 0 ? {} : { rateLimits: [{ ...RATE, burst: 1 + upTo(5) }] }),
    routes: [aRoute()],
  };
}
