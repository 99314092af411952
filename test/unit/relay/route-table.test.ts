/** What is remembered of routes stays small, whatever callers invent and however many copies are made. */
import assert from 'node:assert/strict';
import { HEALTH_CHECK } from '../../../sidecar/codec/health.js';
import type { TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import { type Match, matchForCopy, Routes } from '../../../sidecar/relay/route-table.js';
import { StatsRegistry } from '../../../sidecar/telemetry/call-stats.js';
import { aRoute, aSafeRoute, PATH } from '../../kit/stack/stack.js';

const OPTIONS = {
  direction: 'outbound',
  service: 'digits',
  replayBytes: 1,
  stripsResponse: true,
  stripsReports: true,
} as const;
const split = [{ weight: 1, cluster: '' }];
const RETRY = { attempts: 3, on: [14] };
const RULE: TrafficRoute = { split, timeoutMs: 5_000, retry: RETRY };

function routesOf(...routes: Parameters<typeof aRoute>[0][]): Routes {
  return new Routes(routes.map(aRoute), OPTIONS, new StatsRegistry());
}

describe('Routes', () => {
  it('all invented paths share one match, and one variant of it', () => {
    const routes = routesOf({ methods: ['/a.B/*'] }, {});
    const matches = new Set<Match | null>();
    const variants = new Set<Match>();
    for (let i = 0; i < 3_000; i++) {
      const match = routes.match(`/invented.S/M${i}`)!;
      matches.add(match);
      variants.add(routes.complete(match, RULE));
    }
    assert.deepEqual([matches.size, variants.size], [1, 1]);
    assert.notEqual(routes.match('/a.B/C'), [...matches][0], 'another route is another match');
  });

  it('known methods have counters of their own', () => {
    const routes = routesOf({});
    const matches = [PATH, HEALTH_CHECK, '/a.B/C'].map((path) => routes.match(path)!);
    assert.equal(new Set(matches).size, 3);
    const methods = matches.map(({ stats }) => stats.method);
    assert.deepEqual(methods, [PATH, HEALTH_CHECK, 'other']);
  });

  it('changed rules make new variants', () => {
    const routes = routesOf({});
    const match = routes.match('/a.B/C')!;
    const before = routes.complete(match, RULE);
    routes.forgetRules();
    assert.notEqual(routes.complete(match, RULE), before);
  });

  it('a rule without timeout and retries leaves the match as it is', () => {
    const routes = routesOf({});
    const match = routes.match('/a.B/C')!;
    assert.equal(routes.complete(match, { split }), match);
  });
});

describe('The match of a copy', () => {
  const hedge = { percentile: 0.9, minDelayMs: 1, maxRatio: 0.1 };
  const match = (over: Parameters<typeof aRoute>[0]) => routesOf(over).match('/a.B/C')!;

  it('all copies of calls share one match', () => {
    const routes = routesOf({});
    const of = routes.match('/a.B/C')!;
    assert.equal(matchForCopy(of), matchForCopy(of));
    const completed = routes.complete(matchForCopy(of), RULE);
    assert.equal(routes.complete(matchForCopy(of), RULE), completed);
  });

  it('the match of a copy has no retries, no hedging, no other destination, and a time limit', () => {
    const { config, isOnce } = matchForCopy(match({ ...aSafeRoute(), hedge })).plan;
    const { retry, hedge: hedged, maxTimeoutMs } = config;
    assert.deepEqual([isOnce, retry, hedged, maxTimeoutMs], [true, undefined, undefined, 60_000]);
    assert.equal(matchForCopy(match({ maxTimeoutMs: 10 })).plan.config.maxTimeoutMs, 10);
  });

  it('a rule gives the match of a copy its timeout, and no retries', () => {
    const routes = routesOf({});
    const { plan } = routes.complete(matchForCopy(routes.match('/a.B/C')!), RULE);
    assert.deepEqual([plan.isOnce, plan.config.retry, plan.config.timeoutMs], [true, undefined, 5_000]);
    assert.equal(routes.complete(routes.match('/a.B/C')!, RULE).plan.config.retry?.attempts, 3);
  });
});
