/**
 * The blocks about decisions that the parser should accept, and the names in them settled to those of a file.
 */
import fc from 'fast-check';
import { writeDuration } from '../../../sidecar/config/codecs/duration.js';
import { writeSize } from '../../../sidecar/config/codecs/size.js';
import { ANY_STATUSES, statusCode } from '../../../sidecar/config/codecs/status-code.js';
import { whyNotDeclarable } from '../../../sidecar/core/outcome/outcome.js';

type Spelled = Record<string, unknown>;

const KIB = 1_024;
const MIB = 1_048_576;
const HOUR_MS = 3_600_000;

const duration = (min: number, max: number) => fc.integer({ min, max }).map(writeDuration);
const size = (min: number, max: number) => fc.integer({ min, max }).map(writeSize);
const count = (min: number, max: number) => fc.integer({ min, max });
const real = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const countOrNone = fc.oneof(fc.constant('none'), count(1, 1_000_000));
const metadataKey = fc.constantFrom('x-session', 'user_id', 'tenant.name');
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/);

/** A record with some of the keys left out. */
const some = (shape: Record<string, fc.Arbitrary<unknown>>, requiredKeys: string[] = []) =>
  fc.record(shape, { requiredKeys }) as fc.Arbitrary<Spelled>;

const mode = fc.constantFrom('enforce', 'observe', 'off');
const minCalls = count(1, 1_000_000);
const minPeers = count(2, 1_000);
const share = real(0.01, 0.999);

export const detectors = some({
  consecutive: some({ mode }),
  model_unavailable: some({ mode }),
  success_ratio: some({ mode, below: share, min_calls: minCalls }),
  success_rate: some({ mode, factor: real(0.1, 10), min_peers: minPeers, min_calls: minCalls }),
  failure_ratio: some({ mode, above: share, min_peers: minPeers, min_calls: minCalls }),
  latency: some({ mode, factor: real(1.1, 100), min_calls: minCalls }),
  invalid_output: some({ mode, above: share, min_samples: count(1, 100_000), sample_ratio: real(0.0001, 1) }),
});

const rhythm = {
  interval: duration(60_000, HOUR_MS),
  timeout: duration(10, 60_000),
  unhealthy_threshold: count(1, 100),
  healthy_threshold: count(1, 100),
};

/** What an upstream may say about its endpoints. */
export const care = {
  health: fc.oneof(
    some({ kind: fc.constant('grpc'), service: fc.string({ maxLength: 20 }).map(noNul), ...rhythm }, [
      'interval',
    ]),
    some({ kind: fc.constantFrom('ping', 'tcp'), ...rhythm }, ['kind', 'interval']),
    fc.constant({}),
  ),
  breaker: some({
    max_connections: countOrNone,
    max_pending: countOrNone,
    max_in_flight: countOrNone,
    max_retries: countOrNone,
  }),
  slow_start: some({
    min_ratio: real(0.01, 1),
    converged_factor: real(1, 10),
    min_calls: count(1, 10_000),
    max: duration(100, HOUR_MS),
  }),
  locality: some({ own: fc.constantFrom('dc1', 'eu-west 1: "b"'), spill_below: real(0, 1) }, ['own']),
};

const adaptive = fc
  .tuple(count(1, 10_000), count(1, 10_000), count(1, 10_000))
  .map((three) => three.sort((a, b) => a - b) as [number, number, number])
  .map(([min, concurrency, max]) => ({ concurrency, adaptive: { min, max } }));

const priority = fc
  .tuple(metadataKey, fc.uniqueArray(label, { minLength: 2, maxLength: 16 }), fc.option(fc.nat()))
  .map(([key, classes, at]) => ({
    priority: { key, classes, ...(at === null ? {} : { default_class: classes[at % classes.length] }) },
  }));

/** What a queue may say beyond its bounds. */
export const queueExtra: fc.Arbitrary<Spelled> = fc
  .tuple(
    fc.oneof(fc.constant({}), adaptive),
    fc.oneof(fc.constant({}), priority),
    some({ fair: fc.boolean() }),
  )
  .map((parts) => Object.assign({}, ...parts) as Spelled);

/** Each is about a method of its own, so that none hides another. */
export const rateLimits = fc
  .array(
    some(
      {
        callers: fc.uniqueArray(fc.oneof(fc.constant('*'), label), { minLength: 1, maxLength: 3 }),
        per_second: real(0.001, 1_000_000),
        burst: count(1, 1_000_000),
      },
      ['per_second'],
    ),
    { maxLength: 3 },
  )
  .map((all) => all.map((limit, i) => ({ ...limit, methods: [`/a.B${i}/C`] })));

export const accessLog = some({
  path: fc.stringMatching(/^\/[a-z0-9 _-]{1,20}$/),
  sample_ratio: real(0, 1),
});

/** Stands for the name of an upstream of the same file, by its place in the order. */
interface Place {
  readonly place: number;
}

const place: fc.Arbitrary<Place> = fc.record({ place: fc.nat({ max: 5 }) });

const hedge = some({
  percentile: real(0.501, 0.999),
  min_delay: duration(1, 14_999),
  max_ratio: real(0.001, 0.5),
});
const lastGood = some(
  {
    kind: fc.constant('last-good'),
    max_age: duration(10, 24 * HOUR_MS),
    max_bytes: size(64 * KIB, 16 * MIB),
    vary: fc.uniqueArray(metadataKey, { maxLength: 3 }),
  },
  ['kind'],
);

const split = fc.tuple(
  some(
    {
      match: fc.array(
        fc.record({ key: metadataKey, value: fc.string({ maxLength: 12 }).map(noNul), upstream: place }),
        { maxLength: 3 },
      ),
      sticky_by: metadataKey,
    },
    ['match'],
  ),
  fc.option(fc.array(real(0.001, 1_000_000), { minLength: 1, maxLength: 3 })),
);
const mirror = some(
  { upstream: place, ratio: real(0.0001, 1), max_in_flight: count(1, 1_000), tolerance: real(0, 1_000_000) },
  ['upstream'],
);

/** Some statuses, each declared to count as one thing; `aborted`, which a retry may name too, not as a success. */
export const outcomes: fc.Arbitrary<Spelled> = fc
  .uniqueArray(fc.constantFrom(...ANY_STATUSES), { minLength: 1 })
  .chain((all) => fc.tuple(...all.map((status) => fc.record({ status: fc.constant(status), as: fc.nat() }))))
  .map((all) => {
    const said: Record<string, string[]> = {};
    for (const { status, as } of all) {
      const possible = (['success', 'fault', 'neutral', 'overload'] as const).filter(
        (outcome) =>
          whyNotDeclarable(statusCode(status), outcome) === undefined &&
          !(status === 'aborted' && outcome === 'success'),
      );
      const outcome = possible[as % possible.length]!;
      said[outcome] = [...(said[outcome] ?? []), status];
    }
    return said;
  });

/** What a unary route may say that is done with calls that may be done twice. */
export const twice: fc.Arbitrary<Spelled> = some({ hedge, fallback: fc.tuple(lastGood) });

/** What any unary route may say; with places for names. */
export const detours: fc.Arbitrary<Spelled> = some({ detour: fc.boolean(), split, mirror });

type Routes = readonly Spelled[];

/** Puts names for the places, and leaves out what they leave no name for. Fallbacks lead to later upstreams only. */
export function named(upstreams: Record<string, Spelled>): Record<string, Spelled> {
  const names = Object.keys(upstreams);
  const entries = Object.entries(upstreams).map(([name, said], at) => {
    const routes = said['routes'] as Routes | undefined;
    return [
      name,
      routes === undefined ? said : { ...said, routes: routes.map((route) => settle(route, at)) },
    ];
  });
  return Object.fromEntries(entries) as Record<string, Spelled>;

  function settle({ detour, split: splitSaid, mirror: copies, ...route }: Spelled, at: number): Spelled {
    const next = names[at + 1];
    const fallback = (route['fallback'] as Routes | undefined) ?? [];
    const steps = detour === true && next !== undefined ? [{ kind: 'upstream', upstream: next }] : [];
    const others = names.filter((_, i) => i !== at);
    return {
      ...route,
      ...(steps.length + fallback.length === 0 ? {} : { fallback: [...steps, ...fallback] }),
      ...(splitSaid === undefined ? {} : namedSplit(splitSaid as [Spelled, number[] | null])),
      ...(copies === undefined || others.length === 0
        ? {}
        : { mirror: { ...(copies as Spelled), upstream: pick(others, (copies as Spelled)['upstream']) } }),
    };
  }

  function namedSplit([said, weights]: [Spelled, number[] | null]): Spelled {
    const match = (said['match'] as Routes).map((each) => ({
      ...each,
      upstream: pick(names, each['upstream']),
    }));
    if (weights === null && match.length === 0) return {};
    const shares = weights?.slice(0, names.length).map((weight, i) => [names[i], weight]);
    return { split: { ...said, match, ...(shares && { weights: Object.fromEntries(shares) }) } };
  }
}

function pick(names: readonly string[], which: unknown): string {
  return names[(which as Place).place % names.length]!;
}

function noNul(text: string): string {
  return text.replaceAll('\0', '-');
}
