/**
 * Rules between a route and its detours: what may be done twice, what is a single answer, and what fits into its time.
 */
import { areReadOnly } from '../../../core/routing/method.js';
import { writeDuration } from '../../codecs/duration.js';
import type { RouteKind } from '../../route-defaults.js';
import { type FoundBlock, list, mapping, number, texts } from '../found.js';
import type { Report } from '../option.js';

/** A route as its rules see it, with what it means where it says nothing. */
export interface RouteFacts {
  readonly route: FoundBlock;
  readonly kind: RouteKind;
  /** 0 = none. */
  readonly timeoutMs: number;
}

/** Reports policies that the kind, the idempotence or the times of a route make wrong or useless. */
export function refuseBadDetours(facts: RouteFacts, report: Report): void {
  refuseOnStreams(facts, report);
  refuseUnsafeCopies(facts, report);
  refuseIdleHedge(facts, report);
  refuseRepeatedFallbacks(facts, report);
}

const ON_STREAMS = [['mirror', 'as only whole answers can be compared']] as const;

function refuseOnStreams({ route, kind }: RouteFacts, report: Report): void {
  if (kind === 'unary') return;
  const how = route['kind'] === undefined ? 'which is streaming by default' : 'which is streaming';
  for (const [option, why] of ON_STREAMS) {
    if (route[option] === undefined) continue;
    report([option], `found on a route ${how}; expected "kind: unary", ${why}`);
  }
  for (const [i, step] of list(route['fallback']).entries()) {
    if (mapping(step)['kind'] !== 'last-good') continue;
    const path = ['fallback', i, 'kind'];
    report(path, `found last-good on a route ${how}; expected "kind: unary", as only whole answers are kept`);
  }
}

function refuseUnsafeCopies({ route }: RouteFacts, report: Report): void {
  if (mayRepeat(route)) return;
  if (route['hedge'] !== undefined)
    report(
      ['hedge'],
      'found on a route that is not idempotent; expected "idempotent: true" if doing it twice is harmless, or no hedge',
    );
  for (const [i, step] of list(route['fallback']).entries()) {
    if (mapping(step)['kind'] !== 'last-good') continue;
    report(
      ['fallback', i, 'kind'],
      'found last-good on a route that is not idempotent; expected "idempotent: true" if the same request may get the same answer again, or another kind',
    );
  }
}

/** Whether the route says so, or its methods do. */
export function mayRepeat(route: FoundBlock): boolean {
  const { idempotent = areReadOnly(texts(route['methods'])) } = route;
  return idempotent !== false;
}

/** A copy that would go when the call, or its attempt, is over. */
function refuseIdleHedge({ route, timeoutMs }: RouteFacts, report: Report): void {
  const delayMs = number(mapping(route['hedge'])['min_delay']);
  const attemptMs = number(route['attempt_timeout']) ?? 0;
  if (delayMs === undefined) return;
  const bounds = [
    ['attempt_timeout', attemptMs],
    ['timeout', timeoutMs],
  ] as const;
  for (const [bound, ms] of bounds) {
    if (ms === 0 || delayMs < ms) continue;
    report(
      ['hedge', 'min_delay'],
      `found ${writeDuration(delayMs)}; expected less than ${bound} (${writeDuration(ms)}), or a copy would never go`,
    );
    return;
  }
}

function refuseRepeatedFallbacks({ route }: RouteFacts, report: Report): void {
  const seen: string[] = [];
  for (const [i, step] of list(route['fallback']).entries()) {
    const { kind, upstream } = mapping(step);
    const what = kind === 'last-good' ? 'last-good' : typeof upstream === 'string' ? `"${upstream}"` : '';
    const before = what === '' ? -1 : seen.indexOf(what);
    if (before !== -1)
      report(
        ['fallback', i],
        `found ${what} again, as in fallback[${before}]; expected each once, as it was tried already`,
      );
    seen.push(what);
  }
}
