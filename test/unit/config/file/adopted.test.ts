import assert from 'node:assert/strict';
import { parseAnyFile, parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import type { AdoptedProxy, SidecarConfig } from '../../../../sidecar/config/model.js';
import { formatProblems } from '../../../../sidecar/config/problem.js';
import { sidecarProblems, sidecarWarnings } from '../../../kit/config/problems-of.js';

const tcp = (port: number, host = '127.0.0.1') => ({ kind: 'tcp', host, port }) as const;
const ADOPT = 'consul: {adopt: {proxy: p1}}';
const SERVING = `${ADOPT}\ninbound: {}`;

const PROXY: AdoptedProxy = {
  id: 'p1',
  service: 'digits',
  listen: tcp(21_000, '0.0.0.0'),
  local: tcp(7001),
  upstreams: [
    { name: 'ocr', service: 'ocr', listen: tcp(9001), connectTimeoutMs: 77 },
    { name: 'ocr-dc2', service: 'ocr', datacenter: 'dc2', listen: tcp(9002) },
  ],
  unapplied: [],
};

const parse = (text: string, proxy = PROXY) => parseSidecarFile(text, '/etc/s.yaml', { adopted: proxy });

function config(text: string, proxy = PROXY): SidecarConfig {
  const result = parse(text, proxy);
  assert.ok(result.ok, result.ok ? '' : formatProblems(result.problems));
  return result.config;
}

function problem(text: string, proxy = PROXY): string {
  const result = parse(text, proxy);
  assert.ok(!result.ok, 'was accepted');
  return formatProblems(result.problems);
}

describe('a file that adopts a registration', () => {
  it('takes from it what the file leaves out', () => {
    const { service, instance, inbound, outbound, consul } = config(SERVING);
    assert.deepEqual([service, instance], ['digits', 'p1']);
    assert.deepEqual([inbound!.listen, inbound!.local], [PROXY.listen, PROXY.local]);
    const plain = { service: 'ocr', tags: [], meta: {}, failover: [] };
    assert.deepEqual(
      outbound!.upstreams.map(({ name, listen, consul, pool }) => [
        name,
        listen,
        consul,
        pool.connectTimeoutMs,
      ]),
      [
        ['ocr', tcp(9001), plain, 77],
        ['ocr-dc2', tcp(9002), { ...plain, datacenter: 'dc2' }, 1_000],
      ],
    );
    assert.equal(consul!.registration, undefined);
  });

  it('keeps what the file says itself', () => {
    const text = `${ADOPT}
instance: mine
inbound: {listen: "127.0.0.1:1", local: "unix:/run/m.sock"}
outbound: {upstreams: {ocr: {listen: "127.0.0.1:2", balance: {kind: round-robin}, pool: {connect_timeout: 5s}}}}`;
    const { instance, inbound, outbound } = config(text);
    assert.equal(instance, 'mine');
    assert.deepEqual([inbound!.listen, inbound!.local], [tcp(1), { kind: 'unix', path: '/run/m.sock' }]);
    const [ocr] = outbound!.upstreams;
    assert.deepEqual(
      [ocr!.listen, ocr!.balance.kind, ocr!.pool.connectTimeoutMs],
      [tcp(2), 'round-robin', 5_000],
    );
    assert.equal(ocr!.consul!.service, 'ocr');
  });

  it('has the limits of the registration below those that it says itself', () => {
    const limits = {
      maxConnections: 7,
      maxPending: 8,
      maxInFlight: 9,
      consecutiveFaults: 3,
      ejectionMs: 500,
    };
    const limited = { ...PROXY, upstreams: [{ ...PROXY.upstreams[0]!, ...limits }] };
    const [ocr] = config(ADOPT, limited).outbound!.upstreams;
    assert.deepEqual(
      [ocr!.breaker!.maxConnections, ocr!.breaker!.maxPending, ocr!.breaker!.maxInFlight],
      [7, 8, 9],
    );
    assert.deepEqual([ocr!.ejection.consecutiveFaults, ocr!.ejection.baseMs], [3, 500]);
    const single = { ...PROXY, upstreams: [{ ...PROXY.upstreams[0]!, maxConnections: 7 }] };
    const [one] = config(ADOPT, single).outbound!.upstreams;
    // 0 stands for none: no other limit comes with it.
    assert.deepEqual(one!.breaker, { maxConnections: 7, maxPending: 0, maxInFlight: 0, maxRetries: 0 });
    const own = `${ADOPT}\noutbound: {upstreams: {ocr: {breaker: {max_pending: 5}, ejection: {max: 1m}}}}`;
    const [said] = config(own, limited).outbound!.upstreams;
    assert.deepEqual([said!.breaker!.maxPending, said!.breaker!.maxConnections], [5, 7]);
    assert.deepEqual([said!.ejection.consecutiveFaults, said!.ejection.maxMs], [3, 60_000]);
    const wrong = `${ADOPT}\noutbound: {upstreams: {ocr: {breaker: 5}}}`;
    assert.match(problem(wrong, limited), /outbound.upstreams.ocr.breaker: found 5; expected/);
  });

  it('serves nothing without a block inbound, and nothing that it does not know the place of', () => {
    assert.equal(config(ADOPT).inbound, undefined);
    const { local: _, ...caller } = PROXY;
    assert.match(problem(SERVING, caller), /inbound.local: missing; expected an address/);
    assert.match(problem(ADOPT, { ...caller, upstreams: [] }), /found neither inbound nor outbound/);
  });

  it('is refused for another service', () => {
    assert.match(
      problem(`service: web\n${ADOPT}`),
      /:1: service: found "web", and the adopted registration "p1" is a proxy of "digits"; expected the same/,
    );
  });

  it('is held to the rules of every file, with the values that the registration gives', () => {
    assert.match(
      problem(`admin: 127.0.0.1:9001\n${ADOPT}`),
      /found 127.0.0.1:9001, which admin takes already/,
    );
    const odd = { ...PROXY, listen: tcp(21_000, 'no host') };
    assert.match(problem(SERVING, odd), /inbound.listen: found "no host:21000"; expected an address/);
    const nameless = { ...PROXY, upstreams: [{ ...PROXY.upstreams[0]!, name: 'Not A Name' }] };
    assert.match(problem(ADOPT, nameless), /found this as a name; expected the name of a service/);
  });

  it('is valid without an agent, as validate reads it, and a file of nothing else is a sidecar file', () => {
    const more = `${ADOPT}\noutbound: {upstreams: {ocr: {}}}`;
    assert.deepEqual(sidecarWarnings(more), []);
    for (const text of [ADOPT, SERVING]) {
      const { kind, result } = parseAnyFile(text, 'f.yaml');
      assert.deepEqual([kind, result.ok], ['sidecar', true]);
    }
  });

  it('names one registration, and makes none', () => {
    const of = (consul: string) => sidecarProblems(`consul: ${consul}\ninbound: {}`).join('\n');
    assert.match(
      of('{adopt: {}}'),
      /consul.adopt: found neither proxy nor sidecar_for; expected one of them/,
    );
    assert.match(of('{adopt: {proxy: a, sidecar_for: b}}'), /sidecar_for: found beside proxy/);
    assert.match(
      of('{adopt: {proxy: a}, registration: {tags: [x]}}'),
      /consul.registration: found beside adopt, which registers nothing/,
    );
    assert.match(of('{adopt: {proxy: ""}}'), /adopt.proxy: found ""; expected the id of a proxy/);
  });

  it('without adopt registers as ever', () => {
    const text = 'service: s\nconsul: {}\ninbound: {listen: "1.2.3.4:1", local: "127.0.0.1:2"}';
    assert.equal(config(text).consul!.registration!.deregisterAfterMs, 600_000);
  });
});
