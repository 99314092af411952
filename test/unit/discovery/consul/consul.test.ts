/** What a sidecar says of its dealings with Consul, where the answers of an agent look well and are not. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { Consul } from '../../../../sidecar/discovery/consul/consul.js';
import { MAIN_CLUSTER } from '../../../../sidecar/discovery/snapshot.js';
import type { Sample } from '../../../../sidecar/telemetry/metric.js';
import { answerOf, entryOf } from '../../../kit/consul/answers.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { CONFIG } from '../../../kit/consul/scripted-agent.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { until } from '../../../kit/process/processes.js';
import { ANY, aConfig } from '../../../kit/stack/sidecar-in-memory.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { anUpstream } from '../../../kit/stack/stack.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const INTENTIONS = [{ SourceName: 'web', DestinationName: 'digits', Action: 'allow' }];

describe('the Consul side of a sidecar', () => {
  it('says that the token may not read the intentions, although the list of them answers', async () => {
    const loopback = await LoopbackAgent.start();
    afterTest(() => loopback.stop());
    let mayRead = true;
    let waiting: ServerResponse | undefined;
    const answer = (response: ServerResponse, body: unknown, status = 200, index?: number): void => {
      if (index !== undefined) response.setHeader('x-consul-index', index);
      response.statusCode = status;
      response.end(JSON.stringify(body));
    };
    loopback.handler = ({ url = '' }, response) => {
      const { pathname, searchParams } = new URL(url, 'http://agent');
      if (pathname === '/v1/connect/intentions/match')
        return answer(response, mayRead ? { digits: INTENTIONS } : 'Permission denied', mayRead ? 200 : 403);
      if (pathname === '/v1/connect/intentions/check') return answer(response, { Allowed: false });
      if (pathname !== '/v1/connect/intentions') return answer(response, '', 404);
      // It answers at once what is asked without an index, and else when something has changed.
      if (searchParams.get('index') === null) return answer(response, INTENTIONS, 200, 7);
      waiting = response;
    };
    const clock = new ManualClock();
    const address = `http://127.0.0.1:${loopback.port}`;
    const consul = new Consul(
      aConfig(),
      { ...CONFIG, address, rules: false },
      {
        ...{ clock, timers: clock, random: seeded(1), logger: silentLogger },
        ...{ env: {}, isAnswering: () => false, host: 'here' },
      },
    );
    afterTest(() => consul.close());
    consul.watchIntentions(() => {});
    const query = () => consul.report().queries.find(({ name }) => name === 'intentions');
    const metric = (wanted: string) => {
      const samples = consul.metrics().find(({ name }) => name === wanted)!.samples as readonly Sample[];
      return samples.find(({ labels: { query: of } }) => of === undefined || of === 'intentions')?.value;
    };
    const isFailing = () => metric('outrider_consul_query_failing') === 1;
    await until('they are in force', () => consul.notReady().length === 0 && waiting !== undefined);
    assert.deepEqual([query()?.state, query()?.problem, isFailing()], ['current', undefined, false]);

    mayRead = false;
    answer(waiting!, [], 200, 8);
    await until('it says so', isFailing);
    assert.equal(query()?.state, 'failing');
    assert.match(query()?.problem ?? '', /does not let us read the intentions of digits: 403/);
    assert.equal(metric('outrider_consul_up'), 1, 'the agent answers');
    assert.deepEqual(consul.notReady(), [], 'what was known stays in force');

    mayRead = true;
    clock.advance(3_000);
    await until('all is well again', () => !isFailing());
    assert.deepEqual([query()?.state, query()?.problem], ['current', undefined]);
  });

  it('knows no number of replicas where the list is empty for a token that may not read it, or the agent is away', async () => {
    const loopback = await LoopbackAgent.start();
    afterTest(() => loopback.stop());
    let mayRead = false;
    loopback.handler = ({ url = '' }, response) => {
      const { pathname, searchParams } = new URL(url, 'http://agent');
      const isList = pathname === '/v1/health/connect/digits';
      // The list as it is; a question for the next one stays open.
      if (isList && searchParams.get('index') !== null) return;
      const isRefused = pathname.startsWith('/v1/discovery-chain/') && !mayRead;
      response.statusCode = isRefused ? 403 : 200;
      if (isList) response.setHeader('x-consul-index', 7);
      const body = isList ? [] : pathname === '/v1/agent/members' ? ['a member'] : {};
      response.end(JSON.stringify(isRefused ? 'Permission denied' : body));
    };
    const clock = new ManualClock();
    const address = `http://127.0.0.1:${loopback.port}`;
    const deps = { clock, timers: clock, random: seeded(1), logger: silentLogger };
    const consul = new Consul(
      { ...aConfig(), scaler: { listen: ANY } },
      { ...CONFIG, address, rules: false },
      { ...deps, env: {}, isAnswering: () => false, host: 'here' },
    );
    afterTest(() => consul.close());
    let found: number | undefined;
    const target = { service: 'digits', tags: [], meta: {}, failover: [] };
    const subscription = consul.watchUpstream(anUpstream([], { consul: target }), (next) => {
      found = next.clusters.get(MAIN_CLUSTER)?.endpoints?.length;
    });
    const why = () => subscription.uncounted?.().why ?? '';
    await until('it may not be read', () => /does not let us read the instances of digits: 403/.test(why()));
    assert.equal(found, 0);
    mayRead = true;
    await until('it is empty indeed', () => {
      clock.advance(1_000);
      return why() === '';
    });
    await loopback.stop();
    await until('nobody answers', () => {
      clock.advance(1_000);
      return why() !== '';
    });
  });

  it('counts the instances that it leaves out of very many', async () => {
    const loopback = await LoopbackAgent.start();
    afterTest(() => loopback.stop());
    const entries = [1, 2, 3, 4, 5].map((i) => entryOf(i, { status: i === 5 ? 'critical' : 'passing' }));
    loopback.handler = ({ url = '' }, response) => {
      const { pathname, searchParams } = new URL(url, 'http://agent');
      if (searchParams.get('index') !== null) return;
      response.setHeader('x-consul-index', 7);
      response.end(pathname === '/v1/health/connect/digits' ? answerOf(entries) : '{}');
    };
    const clock = new ManualClock();
    const address = `http://127.0.0.1:${loopback.port}`;
    const deps = { clock, timers: clock, random: seeded(1), logger: silentLogger };
    const consul = new Consul(
      { ...aConfig(), scaler: { listen: ANY } },
      { ...CONFIG, address, rules: false },
      { ...deps, env: {}, isAnswering: () => false, host: 'here' },
    );
    afterTest(() => consul.close());
    const target = { service: 'digits', tags: [], meta: {}, failover: [] };
    let found: number | undefined;
    const config = anUpstream([], { consul: target, pool: { maxEndpoints: 3 } });
    const subscription = consul.watchUpstream(config, (next) => {
      found = next.clusters.get(MAIN_CLUSTER)?.endpoints?.length;
    });
    await until('they are known', () => found === 4);
    assert.deepEqual(subscription.uncounted?.(), { why: undefined, replicas: 1 });
    subscription.update({ ...config, pool: { ...config.pool, maxEndpoints: 128 } });
    assert.deepEqual([found, subscription.uncounted?.().replicas], [5, 0]);
  });
});
