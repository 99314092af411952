/** Streams whose replica is slow in its first message, or dies before it, or after it. */

import { setTimeout as delay } from 'node:timers/promises';
import { fails } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { type DecisionRow, type DrillSpec, drillRow, percentOf } from '../decisions/drill.js';
import { sumOf } from '../decisions/mesh.js';
import type { LoadOptions } from '../faults/load.js';
import { TELL, type Telling, tell } from '../faults/token-stream.js';

const STREAM = { methods: [TELL.path], kind: 'streaming', idempotent: true, retry: { attempts: 2 } } as const;

/** `perSecond` streams, each of which has to give every message once, in order. */
function streams(perSecond: number, telling: Omit<Telling, 'deadlineMs'>): Partial<LoadOptions> {
  const deadlineMs = 5_000;
  return { perSecond, deadlineMs, ask: (client, _, done) => tell(client, { ...telling, deadlineMs }, done) };
}

function row({ plan = {}, ...spec }: DrillSpec & { readonly plan?: object }): DecisionRow {
  return drillRow({ ...spec, plan: { upstream: { routes: [STREAM] }, ...plan } });
}

const slowFirstMessage = row({
  name: 'slow-first-message',
  fault: 'one replica of three takes ten times as long to the first message of a stream',
  load: streams(100, { messages: 10, everyMs: 10 }),
  work: async ({ trial, mesh, load }) => {
    await delay(trial.pick(1_000, 3_000));
    const before = mesh.shares(0);
    trial.figure('its share before', percentOf(before[0]!, sumOf(before)));
    await mesh.models[0]!.behave({ does: 'slow', factor: 10 });
    await delay(trial.pick(1_500, 10_000));
    const fromMs = performance.now();
    const calls = await load.during(fromMs, trial.pick(2_000, 10_000));
    const shares = mesh.shares(fromMs, performance.now());
    const all = sumOf(shares);
    trial.figure('its share then', percentOf(shares[0]!, all));
    trial.expect('its share is at most 5 %', shares[0]! <= all / 20, percentOf(shares[0]!, all));
    trial.expectAvailable(calls, 99.9);
  },
});

const diesEarly = row({
  name: 'stream-dies-early',
  fault: 'one replica of three sends headers and fails before the first message, and then is killed',
  load: streams(100, { messages: 10, everyMs: 10 }),
  work: async ({ trial, mesh, load }) => {
    await delay(trial.pick(500, 3_000));
    const fromMs = performance.now();
    const [victim] = mesh.replicas;
    await victim!.model.behave(fails('trailers'));
    await delay(trial.pick(1_000, 5_000));
    await mesh.kill(victim!);
    const calls = await load.during(fromMs, trial.pick(2_500, 15_000));
    trial.figure('sent again', String(await mesh.retries()));
    // A kill finds streams in the middle, which this route does not resume.
    trial.expectAvailable(calls, 98);
    const unnamed = calls.filter(({ failure }) => failure?.includes('without a reason')).length;
    trial.none('every stream that breaks says why', unnamed, 'do not');
    const early = calls.filter(({ failure }) => failure?.includes('UNAVAILABLE without')).length;
    trial.none('no failure before a first message reaches a caller', early, 'did');
  },
});

/** Streams that go on elsewhere are extra attempts of one moment: all that a replica had. */
const RESUMED = {
  routes: [{ ...STREAM, resumable: true }],
  budget: { ratio: 0.5, per_second: 20 },
};

const diesLate = row({
  name: 'stream-dies-late',
  fault: 'one replica of three is killed in the middle of streams that can be resumed',
  plan: { upstream: RESUMED },
  load: streams(50, { messages: 40, everyMs: 20 }),
  work: async ({ trial, mesh, load }) => {
    const resumed = () => mesh.caller.metric('outrider_streams_resumed_total');
    await delay(trial.pick(1_500, 3_000));
    const fromMs = performance.now();
    const [victim] = mesh.replicas;
    await mesh.kill(victim!);
    await delay(trial.pick(1_500, 10_000));
    const calls = await load.between(fromMs - 1_500);
    const moved = await resumed();
    trial.figure('streams that went on elsewhere', String(moved));
    trial.expect('streams went on elsewhere', moved > 0, String(moved));
    trial.noneFailed('every stream gives each message once, in order', calls);
  },
});

export const STREAM_ROWS: readonly DecisionRow[] = [slowFirstMessage, diesEarly, diesLate];
