import assert from 'node:assert/strict';
import {
  type EndpointSlice,
  mergeSlices,
  readSlice,
  type SliceSelection,
} from '../../../../sidecar/core/discovery/endpoint-slices.js';
import { type ApiEndpoint, type ApiSlice, sliceJson } from '../../../kit/process/kubernetes-api.js';

const PEERS: SliceSelection = { port: 'peers', family: 'any' };

function read(name: string, slice: ApiSlice): EndpointSlice {
  const found = readSlice(sliceJson(name, slice));
  assert.ok(typeof found !== 'string', String(found));
  return found;
}

const of = (...endpoints: ApiEndpoint[]): EndpointSlice => read('a', { endpoints });
const merged = (slices: readonly EndpointSlice[], selection = PEERS) =>
  mergeSlices(slices, selection).endpoints.map(({ host, port, condition }) => `${host}:${port} ${condition}`);
const problem = (slices: readonly EndpointSlice[], selection = PEERS) =>
  mergeSlices(slices, selection).problem;

describe('The EndpointSlices of a Service', () => {
  it('have the address, pod, zone and port of each endpoint', () => {
    const slice = of({ address: '10.0.0.1', pod: 'digits-0', uid: 'u0', zone: 'eu-1a' });
    assert.deepEqual(mergeSlices([slice], PEERS), {
      endpoints: [
        { host: '10.0.0.1', port: 9443, pod: 'digits-0', uid: 'u0', zone: 'eu-1a', condition: 'ready' },
      ],
      problem: undefined,
      unselected: [],
    });
  });

  const HTTP = [{ name: 'http', port: 8080 }];
  const A = { address: '10.0.0.1', pod: 'a' };
  const B = { address: '10.0.0.2', pod: 'b' };
  const leftOut = (slices: readonly EndpointSlice[], selection = PEERS) =>
    mergeSlices(slices, selection).unselected.map(({ host }) => host);

  it('at no port or address that is asked for leave pods of which nothing is known', () => {
    const renamed = read('a', { ports: HTTP, endpoints: [A, { address: '10.0.0.2' }] });
    assert.deepEqual(leftOut([renamed]), ['10.0.0.1', '10.0.0.2']);
    const two = read('a', { ports: [...HTTP, { name: 'peers', port: 9443 }], endpoints: [A] });
    assert.deepEqual(leftOut([two], { family: 'any' }), ['10.0.0.1']);
    assert.deepEqual(leftOut([of(A)], { port: 'peers', family: 'ipv6' }), ['10.0.0.1']);
    const names = read('a', { addressType: 'FQDN', endpoints: [{ address: 'digits.example' }] });
    assert.deepEqual(leftOut([names]), ['digits.example']);
    assert.deepEqual(leftOut([of()]), []);
  });

  it('leave a pod without such a port beside those that have it, unless it ends', () => {
    const without = read('b', { ports: HTTP, endpoints: [A, B, { address: '10.0.0.3' }] });
    assert.deepEqual(leftOut([of(A), without]), ['10.0.0.2']);
    assert.deepEqual(
      leftOut([of(A), read('b', { ports: HTTP, endpoints: [{ ...B, terminating: true }] })]),
      [],
    );
    const six = read('b', { addressType: 'IPv6', endpoints: [{ address: 'fd00::1', pod: 'a' }] });
    assert.deepEqual(leftOut([of(A), six], { port: 'peers', family: 'ipv4' }), [], 'its other address');
  });

  const conditions: readonly (readonly [object | undefined, string])[] = [
    [undefined, 'ready'],
    [{}, 'ready'],
    [{ ready: null, serving: null, terminating: null }, 'ready'],
    [{ ready: true, serving: true, terminating: false }, 'ready'],
    [{ ready: false, serving: false, terminating: false }, 'unready'],
    [{ ready: false, serving: true, terminating: true }, 'draining'],
    [{ ready: false, serving: false, terminating: true }, 'ended'],
    // publishNotReadyAddresses
    [{ ready: true, serving: true, terminating: true }, 'draining'],
  ];
  for (const [said, expected] of conditions)
    it(`with the conditions ${JSON.stringify(said)} have an endpoint that is ${expected}`, () => {
      const json = {
        ...sliceJson('a', { endpoints: [] }),
        endpoints: [{ addresses: ['::1'], conditions: said }],
      };
      assert.equal((readSlice(json) as EndpointSlice).endpoints[0]!.condition, expected);
    });

  it('are merged: a pod in two slices counts once, and ends where one of them says so', () => {
    const old = of({ address: '10.0.0.1', pod: 'a' }, { address: '10.0.0.2', pod: 'b', ready: false });
    const next = of({ address: '10.0.0.1', pod: 'a', terminating: true }, { address: '10.0.0.2', pod: 'b' });
    for (const slices of [
      [old, next],
      [next, old],
    ])
      assert.deepEqual(merged(slices), ['10.0.0.1:9443 draining', '10.0.0.2:9443 ready']);
  });

  it('give an address to the pod that has it now', () => {
    const slices = [
      of(
        { address: '10.0.0.1', pod: 'a', uid: '1', terminating: true },
        { address: '10.0.0.1', pod: 'a', uid: '2' },
      ),
    ];
    assert.deepEqual(merged(slices), ['10.0.0.1:9443 ready']);
    assert.deepEqual(merged([of({ address: '10.0.0.9' }, { address: '10.0.0.9' })]), ['10.0.0.9:9443 ready']);
  });

  it('of both families have one endpoint for each pod, by IPv4 unless the family is said', () => {
    const four = of({ address: '10.0.0.1', pod: 'a' });
    const six = read('b', { addressType: 'IPv6', endpoints: [{ address: 'fd00::1', pod: 'a' }] });
    for (const slices of [
      [four, six],
      [six, four],
    ]) {
      assert.deepEqual(merged(slices), ['10.0.0.1:9443 ready']);
      assert.deepEqual(merged(slices, { ...PEERS, family: 'ipv6' }), ['fd00::1:9443 ready']);
      assert.deepEqual(merged(slices, { ...PEERS, family: 'ipv4' }), ['10.0.0.1:9443 ready']);
    }
    assert.match(problem([six], { ...PEERS, family: 'ipv4' })!, /no address of the family ipv4/);
  });

  it('may have another number for the port of one name in each slice', () => {
    const other = read('b', { ports: [{ name: 'peers', port: 9444 }], endpoints: [{ address: '10.0.0.2' }] });
    assert.deepEqual(merged([of({ address: '10.0.0.1' }), other]), [
      '10.0.0.1:9443 ready',
      '10.0.0.2:9444 ready',
    ]);
  });

  it('have the port of a number at every address, and the only one where none is said', () => {
    const portless = read('a', { ports: null, endpoints: [{ address: '10.0.0.1' }] });
    assert.deepEqual(merged([portless], { port: 7000, family: 'any' }), ['10.0.0.1:7000 ready']);
    assert.match(problem([portless])!, /found no TCP port; expected one with the name "peers"/);
    assert.deepEqual(merged([of({ address: '10.0.0.1' })], { family: 'any' }), ['10.0.0.1:9443 ready']);
  });

  it('without the port say which ones there are', () => {
    const ports = [
      { name: 'peers', port: 9443 },
      { name: 'observe', port: 9464 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ];
    const slice = read('a', { ports, endpoints: [{ address: '10.0.0.1' }] });
    const found = 'found the TCP ports peers (9443), observe (9464); ';
    assert.equal(
      problem([slice], { port: 'grpc', family: 'any' }),
      `${found}expected one with the name "grpc"`,
    );
    assert.equal(
      problem([slice], { family: 'any' }),
      `${found}expected \`port\` to say which, by name or number`,
    );
  });

  it('say why no endpoint is ready', () => {
    assert.match(problem([of()])!, /found no pod: no pod matches/);
    assert.match(
      problem([of({ address: '10.0.0.1', ready: false }, { address: '10.0.0.2', terminating: true })])!,
      /found 2 pods, none of which is ready; 1 of them end/,
    );
    const names = read('n', { addressType: 'FQDN', endpoints: [{ address: 'a.test' }] });
    assert.match(problem([names])!, /EndpointSlice n of the type FQDN; expected IPv4 or IPv6/);
    assert.deepEqual(merged([names]), []);
  });

  it('are refused where they are none, and leave out what is no endpoint', () => {
    for (const bad of [null, 7, [], 'x', {}, { metadata: { name: 'a' }, addressType: 'IPX' }])
      assert.equal(typeof readSlice(bad), 'string', JSON.stringify(bad));
    const endpoints = [null, 1, {}, { addresses: [] }, { addresses: [7] }, { addresses: ['a b'] }];
    const odd = {
      ...sliceJson('a', { endpoints: [] }),
      endpoints,
      ports: [null, { port: 0 }, { port: 1.5 }],
    };
    const { ports, endpoints: kept } = readSlice(odd) as EndpointSlice;
    assert.deepEqual({ ports, kept }, { ports: [], kept: [] });
    assert.deepEqual(
      (readSlice({ ...odd, endpoints: null, ports: undefined }) as EndpointSlice).endpoints,
      [],
    );
  });

  it('of 10,000 endpoints are merged', () => {
    const slices = Array.from({ length: 100 }, (_, s) =>
      read(`s${s}`, {
        endpoints: Array.from({ length: 100 }, (_, e) => ({ address: `10.0.${s}.${e}`, pod: `p-${s}-${e}` })),
      }),
    );
    assert.equal(merged(slices).length, 10_000);
  });
});
