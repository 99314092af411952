import assert from 'node:assert/strict';
import type { Queries } from '../../../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import { OwnEntries } from '../../../../../sidecar/discovery/consul/chain/own-entries.js';
import type { QueryStatus } from '../../../../../sidecar/discovery/consul/query/query-spec.js';
import { CONFIG } from '../../../../kit/consul/scripted-agent.js';
import { silentLogger } from '../../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const OF_SERVICE = '/config/service-defaults/digits';
const OF_PROXIES = '/config/proxy-defaults/global';

describe('Entries about a service itself', () => {
  it('are read for a sidecar without upstreams too, and each sentence is logged once', () => {
    const told = new Map<string, (text: string) => void>();
    const queries = {
      watch: ({ path }: { path: string }, onValue: (text: string) => void) => {
        told.set(path, onValue);
        return { status: () => ({}) as QueryStatus, reread() {}, close: () => void told.delete(path) };
      },
    } as unknown as Queries;
    const lines: unknown[] = [];
    const clock = new ManualClock();
    const own = new OwnEntries(queries, {
      ...{ config: CONFIG, clock, timers: clock, random: constant(0.5), service: 'digits' },
      logger: { ...silentLogger, warn: (fields: object) => void lines.push(fields) },
      logged: new Set(),
    });
    assert.deepEqual([[...told.keys()].sort(), own.unsupported()], [[OF_PROXIES, OF_SERVICE], []]);
    const entry = '{"Kind":"service-defaults","Name":"digits","MaxInboundConnections":5}';
    told.get(OF_SERVICE)!(entry);
    told.get(OF_PROXIES)!('{"Kind":"proxy-defaults","Config":{"x":1}}');
    told.get(OF_SERVICE)!(entry);
    const sentences = [
      'service-defaults "digits": MaxInboundConnections is not applied.',
      'proxy-defaults: Config "x" is not applied.',
    ];
    assert.deepEqual([own.unsupported(), lines], [sentences, sentences.map((rule) => ({ rule }))]);
    told.get(OF_PROXIES)!('{"Kind":"other"}');
    assert.deepEqual(own.unsupported(), sentences, 'what makes no sense changes nothing');
    told.get(OF_SERVICE)!('');
    assert.deepEqual(own.unsupported(), sentences.slice(1));
    own.close();
    assert.equal(told.size, 0);
  });
});
