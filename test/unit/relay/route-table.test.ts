/** What is remembered of routes stays small, whatever callers invent and however many copies are made. */
import assert from 'node:assert/strict';
import { ENGINE_CODECS } from '../../../sidecar/codec/engines/engine-codecs.js';
import { HEALTH_CHECK } from '../../../sidecar/codec/health.js';
import { MethodKinds } from '../../../sidecar/core/routing/method-kinds.js';
import type { TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import { type Match, matchForCopy, Routes } from '../../../sidecar/relay/route-table.js';
import { StatsRegistry } from '../../../sidecar/telemetry/call-stats.js';
import { anAutoRoute, aRoute, aSafeRoute, aStreamRoute, PATH } from '../../kit/stack/stack.js';

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

describe('A variant', () => {
  /** Settings of the plan that differ, and of its configuration. */
  const changes = (match: Match, rule: Partial<TrafficRoute>, routes: Routes): string[] => {
    const { plan, ...rest } = routes.complete(match, { split, ...rule });
    assert.deepEqual(rest, { stats: match.stats });
    const differ = (a: object, b: object): string[] =>
      [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
        (key) => a[key as keyof typeof a] !== b[key as keyof typeof b],
      );
    const ofPlan = differ(match.plan, plan).filter((key) => key !== 'config');
    return [...ofPlan, ...differ(match.plan.config, plan.config).map((key) => `config.${key}`)].sort();
  };
  const EDITS = { responseHeaders: { add: [], set: [['x-by', 'mesh']], remove: [] } } as const;
  const streaming = aStreamRoute();
  const routesBefore = [
    streaming,
    anAutoRoute(),
    aRoute(),
    aSafeRoute(),
    aStreamRoute({ messageTimeoutMs: 4_000 }),
  ];
  const resumable = aStreamRoute({ resumable: true, deterministic: true, firstMessageTimeoutMs: 900 });

  it('of a method of an engine differs in nothing but what the rule says', () => {
    for (const engine of Object.values(ENGINE_CODECS))
      for (const route of [streaming, anAutoRoute()]) {
        const routes = new Routes([route], { ...OPTIONS, engine }, new StatsRegistry());
        const found = routes.match(engine.generate)!;
        assert.equal(
          found.plan.messageTimeoutMs > 0,
          engine.resume !== null,
          'an engine that freezes is found',
        );
        for (const match of [found, matchForCopy(found)]) {
          assert.deepEqual(changes(match, { timeoutMs: 7_000 }, routes), ['config.timeoutMs']);
          const idle = ['config.idleTimeoutMs', 'idleTimeoutMs'];
          assert.deepEqual(changes(match, { idleTimeoutMs: 7_000 }, routes), idle);
          assert.deepEqual(changes(match, EDITS, routes), ['responseEditor']);
        }
        assert.deepEqual(changes(found, { retry: RETRY }, routes), [], 'it has retries of its own');
      }
  });

  it('of any other method as well, however it is known what that is', () => {
    for (const engine of [undefined, ENGINE_CODECS.vllm])
      for (const route of [...routesBefore, resumable]) {
        const kinds = new MethodKinds();
        kinds.describe([{ unary: ['/a.B/Unary'], streaming: ['/a.B/Stream'] }]);
        const options = { ...OPTIONS, kinds, ...(engine === undefined ? {} : { engine }) };
        const routes = new Routes([route], options, new StatsRegistry());
        const paths = [
          '/a.B/Unary',
          '/a.B/Stream',
          '/a.B/Unknown',
          PATH,
          HEALTH_CHECK,
          ENGINE_CODECS.vllm.abort,
        ];
        for (const path of paths) {
          const found = routes.match(path)!;
          for (const match of [found, matchForCopy(found)]) {
            const among = (rule: Partial<TrafficRoute>, ...allowed: string[]): void => {
              const others = changes(match, rule, routes).filter((key) => !allowed.includes(key));
              assert.deepEqual(others, [], `${path} ${JSON.stringify(rule)}`);
            };
            among({ timeoutMs: 7_000 }, 'config.timeoutMs');
            among({ idleTimeoutMs: 7_000 }, 'config.idleTimeoutMs', 'idleTimeoutMs');
            among({ retry: RETRY }, 'config.retry', 'config.idempotent', 'firstMessage');
            among(EDITS, 'responseEditor');
          }
        }
        if (route.kind === 'unary' || route.retry !== undefined) continue;
        const said = changes(routes.match('/a.B/Stream')!, { retry: RETRY }, routes);
        assert.ok(said.includes('config.retry'), said.join());
      }
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
