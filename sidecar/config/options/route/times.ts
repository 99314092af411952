/**
 * How long calls of a route may take, and whether they are streams, as that decides their usual times.
 */
import { writeDuration } from '../../codecs/duration.js';
import { present } from '../../present.js';
import {
  defaultIdleTimeoutMs,
  defaultKind,
  defaultTimeoutMs,
  type RouteKind,
  type UnaryTimes,
} from '../../route-defaults.js';
import { type FoundBlock, number, text, texts } from '../found.js';
import { inCode, option, type Report } from '../option.js';
import { choice, duration, durationOrNone } from '../values.js';

const HOUR_MS = 3_600_000;
/** No call or stream is limited to more, ms. */
export const DAY_MS = 24 * HOUR_MS;

export const kind = option(choice(['unary', 'streaming', 'auto']).optional(), {
  meaning:
    'Whether the method is unary. `auto`: methods that the service describes as unary by gRPC server reflection are unary, all others are streams. (A stream whose last 50 answers had one message each is compared by its whole time, as a unary call is.) Only unary methods get the default timeout, and only their answers are held until the status is known (up to `hold`, on the inbound side 64 KiB). A stream is held until its first message if the route has `hedge`, `fallback` or `first_message_timeout`, or has `retry` and is idempotent; not while the caller has more to send.',
  otherwise:
    "`unary` when every method is known to be: of the Open Inference Protocol, `grpc.health.v1.Health/Check`, TensorFlow Serving's PredictionService, TorchServe's `Ping` and `Predictions`; else `auto`",
  why: 'The wire does not say it, and calling a stream unary would break it; the service knows.',
});

export const timeout = option(durationOrNone({ min: 1, max: DAY_MS }).optional(), {
  meaning:
    "The time limit of a call with all its attempts. The caller's own deadline may be shorter and is never extended.",
  otherwise: '`15s` for unary methods, `none` for streams; on the inbound side `none` with `kind: auto`',
  why: 'Long enough for a slow model on a busy machine; a stream may live as long as it is used.',
});

export const idleTimeout = option(durationOrNone({ min: 1, max: DAY_MS }).optional(), {
  meaning: 'A stream without a frame in either direction for this long is ended.',
  otherwise: '`5m` for streams, `none` for unary methods',
  why: 'Longer than the pauses of a living stream; a unary call has its timeout.',
});

export const drainTimeout = option(duration({ min: 1, max: HOUR_MS }).optional(), {
  meaning:
    'How long a stream may continue once a drain has begun. After that it ends with UNAVAILABLE and `outrider-reason: drain-timeout`. If it is `resumable`, the sidecar of the caller continues it at another replica.',
  otherwise: "the sidecar's `drain_timeout`",
  why: 'A stream of an hour does not end by itself in the time that a restart may take.',
});

export const maxTimeout = option(
  inCode(
    durationOrNone({ min: 1, max: DAY_MS }).optional(),
    (said) => said || undefined,
    (config) => config ?? 0,
  ),
  {
    meaning:
      'The longest deadline that a caller can have; a longer one is shortened to it, on streams too. `timeout` applies as well.',
    otherwise: '`none`',
    why: 'A caller usually knows how long it can wait; where callers are not trusted, set a bound.',
  },
);

interface RouteTimes {
  readonly methods: readonly string[];
  readonly kind?: RouteKind;
  readonly timeoutMs?: number;
  readonly idleTimeoutMs?: number;
}

/** Unsaid times follow from the kind of the route, and that from its methods. */
export function timesOf({ methods: patterns, kind: said, timeoutMs, idleTimeoutMs: idleMs }: RouteTimes) {
  const kind = said ?? defaultKind(patterns);
  const times = (of: RouteKind) => ({
    timeoutMs: timeoutMs ?? defaultTimeoutMs(of),
    idleTimeoutMs: idleMs ?? defaultIdleTimeoutMs(of),
  });
  return { kind, ...times(kind), ...present('ifUnary', kind === 'auto' ? times('unary') : undefined) };
}

/** As it is written: without times that were not said, as those of a method that turns out to be unary are others. */
export function saidTimes<R extends { readonly ifUnary?: UnaryTimes }>(route: R): R {
  const { ifUnary } = route;
  if (ifUnary === undefined) return route;
  const times = Object.entries(ifUnary);
  return Object.fromEntries(
    Object.entries(route).filter(([name, ms]) =>
      times.every(([time, other]) => time !== name || ms === other),
    ),
  ) as R;
}

/** The kind of a route that is being read: what it says, or what its methods are known to be. */
export function kindOf(route: FoundBlock): RouteKind {
  const said = text(route['kind']);
  return said === 'unary' || said === 'streaming' || said === 'auto'
    ? said
    : defaultKind(texts(route['methods']));
}

/** The time limit of a route that is being read, ms; 0 for none, and for one that is wrong in itself. */
export function timeoutOf(route: FoundBlock): number {
  const said = route['timeout'];
  return said === undefined ? defaultTimeoutMs(kindOf(route)) : (number(said) ?? 0);
}

function shownTimeout(route: FoundBlock): string {
  const shown = writeDuration(timeoutOf(route));
  return route['timeout'] === undefined ? `${shown} by default` : shown;
}

/** An attempt that may take longer than the call. */
export function refuseLongAttempts(route: FoundBlock, report: Report): void {
  const attemptMs = number(route['attempt_timeout']) ?? 0;
  const timeoutMs = timeoutOf(route);
  if (attemptMs === 0 || timeoutMs === 0 || attemptMs <= timeoutMs) return;
  report(
    ['attempt_timeout'],
    `found ${writeDuration(attemptMs)}; expected at most timeout (${shownTimeout(route)})`,
  );
}

/** A limit to the first message where there is one message only, or another limit ends with it. */
export function refuseFirstMessages(route: FoundBlock, report: Report): void {
  const limitMs = number(route['first_message_timeout']);
  if (limitMs === undefined) return;
  const path = ['first_message_timeout'];
  const found = `found ${writeDuration(limitMs)}`;
  if (kindOf(route) === 'unary')
    report(path, `${found} on a unary route; expected attempt_timeout, as there is one message only`);
  else if ((number(route['attempt_timeout']) ?? 0) > 0)
    report(path, `${found} beside attempt_timeout; expected one of them, as both end with the first message`);
  const timeoutMs = timeoutOf(route);
  if (timeoutMs > 0 && limitMs > timeoutMs)
    report(path, `${found}; expected at most timeout (${shownTimeout(route)})`);
}

/** A limit to the time between messages where there is one message only. */
export function refuseMessageTimeouts(route: FoundBlock, report: Report): void {
  const limitMs = number(route['message_timeout']);
  if (limitMs === undefined || kindOf(route) !== 'unary') return;
  const found = `found ${writeDuration(limitMs)} on a unary route`;
  report(['message_timeout'], `${found}; expected attempt_timeout, as there is one message only`);
}

/** A limit to what goes on after a drain has begun, of calls that end by themselves. */
export function refuseUnaryDrain(route: FoundBlock, report: Report): void {
  if (route['drain_timeout'] === undefined || kindOf(route) !== 'unary') return;
  report(['drain_timeout'], 'found on a unary route; expected timeout, as its calls end by themselves');
}

/** Less time granted to callers than the route gives by itself. */
export function refuseShortGrants(route: FoundBlock, report: Report): void {
  const maxMs = number(route['max_timeout']) ?? 0;
  if (maxMs === 0 || maxMs >= timeoutOf(route)) return;
  report(
    ['max_timeout'],
    `found ${writeDuration(maxMs)}; expected at least timeout (${shownTimeout(route)}), which is granted in any case`,
  );
}
