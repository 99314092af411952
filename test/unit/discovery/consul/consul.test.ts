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

const DIGITS = { service: 'digits', tags: [], meta: {}, failover: [] };

/** A scaler's subscription to the instances of `digits` at this agent. */
function aScaler(loopback: LoopbackAgent, config = anUpstream([], { consul: DIGITS })) {
  const clock = new ManualClock();
  const address = `http://127.0.0.1:${loopback.port}`;
  const deps = { clock, timers: clock, random: seeded(1), logger: silentLogger };
  const consul = new Consul(
    { ...aConfig(), scaler: { listen: ANY } },
    { ...CONFIG, address, rules: false },
    { ...deps, env: {}, isAnswering: () => false, host: 'here' },
  );
  afterTest(() => consul.close());
  let endpoints: number | undefined;
  const subscription = consul.watchUpstream(config, (next) => {
    endpoints = next.clusters.get(MAIN_CLUSTER)?.endpoints?.length;
  });
  return { clock, consul, subscription, found: () => endpoints };
}

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
    const { clock, subscription, found } = aScaler(loopback);
    const why = () => subscription.uncounted?.().why ?? '';
    await until('it may not be read', () => /does not let us read the instances of digits: 403/.test(why()));
    assert.equal(found(), 0);
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

  for (const { fault, status, expected } of [
    { fault: 'is in a datacenter that is away', status: 500, expected: /500/ },
    { fault: 'its token may not read', status: 403, expected: /does not let us read the instances/ },
  ])
    it(`knows the number of replicas though it has a failover target that ${fault}`, async () => {
      const loopback = await LoopbackAgent.start();
      afterTest(() => loopback.stop());
      let open: ServerResponse | undefined;
      loopback.handler = ({ url = '' }, response) => {
        const { pathname, searchParams } = new URL(url, 'http://agent');
        const isElsewhere = searchParams.get('dc') === 'dc2';
        const isList = pathname === '/v1/health/connect/digits';
        if (isElsewhere && !isList && status === 403) {
          response.statusCode = 403;
          return response.end('Permission denied');
        }
        if (isList && searchParams.get('index') !== null) {
          if (isElsewhere) open = response;
          return;
        }
        response.setHeader('x-consul-index', 7);
        const entries = isElsewhere ? [] : [1, 2, 3].map((i) => entryOf(i));
        response.end(isList ? answerOf(entries) : '{}');
      };
      const failover = [{ service: 'digits', datacenter: 'dc2', tags: [], meta: {} }];
      const config = anUpstream([], { consul: { ...DIGITS, failover } });
      const { consul, subscription, found } = aScaler(loopback, config);
      await until('both lists are known', () => found() === 3 && open !== undefined);
      if (status === 500) {
        open!.statusCode = 500;
        open!.end('No path to datacenter');
      }
      const failed = () => consul.report().queries.find(({ name }) => name.endsWith('@dc2'))?.problem ?? '';
      await until('its list cannot be read', () => expected.test(failed()));
      assert.deepEqual(subscription.uncounted?.(), { why: undefined, replicas: 0 });
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
    const config = anUpstream([], { consul: DIGITS, pool: { maxEndpoints: 3 } });
    const { subscription, found } = aScaler(loopback, config);
    await until('they are known', () => found() === 4);
    assert.deepEqual(subscription.uncounted?.(), { why: undefined, replicas: 1 });
    subscription.update({ ...config, pool: { ...config.pool, maxEndpoints: 128 } });
    assert.deepEqual([found(), subscription.uncounted?.().replicas], [5, 0]);
  });
});
