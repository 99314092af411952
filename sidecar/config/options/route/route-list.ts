/**
 * Lists of routes: the first that matches decides, and the last one matches every method.
 */
import { areReadOnly, KNOWN_STREAMS, KNOWN_UNARY, matchesMethod } from '../../../core/routing/method.js';
import { quoted } from '../../codecs/parse-result.js';
import { isCovered } from '../../methods.js';
import {
  defaultIdleTimeoutMs,
  defaultTimeoutMs,
  HOLD_BYTES,
  READ_ONLY_RETRY,
  type RouteKind,
  SAMPLE_BYTES,
} from '../../route-defaults.js';
import { list, mapping, text, texts } from '../found.js';
import { inCode, type Report } from '../option.js';
import { isOfTheseModels, type SaidModels } from '../rate-limits.js';
import { listOf } from '../values.js';
import { inboundRoute, outboundRoute, type RouteConfig } from './route.js';

/** On the side of the model. */
export function inboundRoutes() {
  const routes = listOf(inboundRoute, 'routes').prefault([]);
  return inCode(routes, (said) => completeRoutes(said, 'inbound'));
}

/** Of an upstream. */
export function outboundRoutes() {
  const routes = listOf(outboundRoute, 'routes').prefault([]);
  return inCode(routes, (said) => completeRoutes(said, 'outbound'));
}

/** Rules between the routes of a list. */
export function routeListRules(routes: unknown, report: Report): void {
  refuseUnreachable(routes, report);
  refuseHeldStreams(routes, report);
}

/** A method that is known to stream, in a unary route: its messages would be held back. A pattern is warned of, as it may mean all the others. */
function refuseHeldStreams(routes: unknown, report: Report): void {
  for (const [i, route] of list(routes).entries()) {
    const { kind, methods } = mapping(route);
    if (kind !== 'unary') continue;
    for (const [j, pattern] of texts(methods).entries()) {
      if (!KNOWN_STREAMS.has(pattern) || isTaken(list(routes).slice(0, i), pattern)) continue;
      report(
        [i, 'methods', j],
        `found ${quoted(pattern)} in a unary route; expected kind streaming, as its messages would be held back`,
      );
    }
  }
}

/** Whether routes before take the method. */
function isTaken(before: readonly unknown[], stream: string): boolean {
  return before.some((route) => {
    const { methods, models } = mapping(route);
    return models === undefined && texts(methods).some((other) => matchesMethod(other, stream));
  });
}

/** For a list of routes: refuses a method that an earlier route always takes, for the same models where they name some. */
function refuseUnreachable(routes: unknown, report: Report): void {
  const earlier: (SaidModels & { readonly pattern: string; readonly route: number })[] = [];
  for (const [i, route] of list(routes).entries()) {
    const { methods, models, version } = mapping(route);
    const patterns = texts(methods);
    const said = { models: models === undefined ? undefined : texts(models), version: text(version) };
    const mayCompare = said.models?.length !== 0;
    for (const [j, pattern] of patterns.entries()) {
      const taken = earlier.find((by) => isCovered(pattern, by.pattern) && isOfTheseModels(said, by));
      if (taken === undefined || !mayCompare) continue;
      report(
        [i, 'methods', j],
        `found ${quoted(pattern)}, which is never reached; routes[${taken.route}] already takes ${quoted(taken.pattern)}`,
      );
    }
    if (mayCompare) earlier.push(...patterns.map((pattern) => ({ ...said, pattern, route: i })));
  }
}

/**
 * Makes the last route match every method: unless one of them does, the known unary methods that none of them
 * matches follow with the unary defaults, and then everything else, as its service describes it. Outbound, those that only read are
 * idempotent and tried again.
 */
function completeRoutes(
  routes: readonly RouteConfig[],
  side: 'inbound' | 'outbound',
): readonly RouteConfig[] {
  const patterns = routes.flatMap(({ methods, models }) => (models === undefined ? methods : []));
  if (patterns.includes('*')) return routes;
  const unary = [...KNOWN_UNARY].filter((method) => !patterns.some((pattern) => isCovered(method, pattern)));
  const isCareful = (method: string): boolean => side === 'outbound' && areReadOnly([method]);
  const [reading, others] = [unary.filter(isCareful), unary.filter((method) => !isCareful(method))];
  return [
    ...routes,
    ...(reading.length === 0
      ? []
      : [{ ...plainRoute(reading, 'unary'), idempotent: true, retry: READ_ONLY_RETRY }]),
    ...(others.length === 0 ? [] : [plainRoute(others, 'unary')]),
    plainRoute(['*'], 'auto'),
  ];
}

const UNARY_TIMES = {
  timeoutMs: defaultTimeoutMs('unary'),
  idleTimeoutMs: defaultIdleTimeoutMs('unary'),
};

function plainRoute(methods: readonly string[], kind: RouteKind): RouteConfig {
  return {
    methods,
    kind,
    idempotent: false,
    timeoutMs: defaultTimeoutMs(kind),
    idleTimeoutMs: defaultIdleTimeoutMs(kind),
    ...(kind === 'auto' ? { ifUnary: UNARY_TIMES } : {}),
    attemptTimeoutMs: 0,
    holdBytes: HOLD_BYTES,
    sampleBytes: SAMPLE_BYTES,
  };
}
