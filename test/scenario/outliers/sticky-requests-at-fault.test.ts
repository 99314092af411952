/**
 * Requests that stick to one endpoint by a key, and fail there: no peer gets any to compare with. The endpoint keeps its other keys where the requests are at
 * fault, and is ejected where it is the endpoint.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aRequestFor } from '../../kit/service/infer-requests.js';
import { addressOf, type UpstreamOptions } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c'];
const KEYS = Array.from({ length: 60 }, (_, i) => `user-${i}`);

describe('Scenario: requests that stick to an endpoint and fail', () => {
  let pool: DetectorPool;
  /** By endpoint, keys that are at home there. */
  let homes: Map<string, string[]>;

  const call = (user: string): PeerStream => {
    const made = pool.call({ metadata: [['user', user]] });
    pool.advance(5);
    return made;
  };
  const keyOf = (stream: PeerStream): string => stream.header('user')!;
  /** Every endpoint answers with its name, but fails the requests that `fails` names. */
  const answer = (fails: (key: string, name: string) => boolean, status: number = Status.INTERNAL): void => {
    for (const name of NAMES)
      pool.answers((stream) => {
        if (fails(keyOf(stream), name)) stream.fail(status);
        else stream.reply(Buffer.from(name));
      }, name);
  };
  const start = (over: UpstreamOptions = {}): void => {
    pool = new DetectorPool(NAMES, {
      balance: { kind: 'ring-hash', key: 'user' },
      ...over,
    });
    answer(() => false);
    homes = new Map(NAMES.map((name) => [name, []]));
    for (const key of KEYS) homes.get(call(key).body.toString())!.push(key);
    for (const [name, keys] of homes) assert.ok(keys.length > 5, `${name}: ${keys.length}`);
  };
  /** Calls of all keys in turn, each followed by so many of one; by status. */
  const load = (key: string, each: number, rounds = 60): Record<string, number> => {
    const made: PeerStream[] = [];
    for (let i = 0; i < rounds; i++) {
      call(KEYS[i % KEYS.length]!);
      for (let n = 0; n < each; n++) made.push(call(key));
    }
    return countBy(made, ({ status }) => `${status}`);
  };
  const ejections = (): number[] => NAMES.map((name) => pool.endpoint(name).ejection.ejections);

  for (const each of [1, 3, 12])
    it(`eject nothing: ${each} to each other call, and its other keys stay`, () => {
      start();
      const [bad = '', ...others] = homes.get('a')!;
      answer((key) => key === bad);
      load(bad, each);
      assert.deepEqual(ejections(), [0, 0, 0]);
      for (const key of others) assert.equal(call(key).body.toString(), 'a');
    });

  it('eject nothing where half of them fail', () => {
    start();
    const [bad = ''] = homes.get('a')!;
    let n = 0;
    answer((key) => key === bad && n++ % 2 === 0);
    load(bad, 6);
    assert.deepEqual(ejections(), [0, 0, 0]);
  });

  it('go home again once they are answered well', () => {
    start();
    const [bad = ''] = homes.get('a')!;
    answer((key) => key === bad);
    load(bad, 3);
    answer(() => false);
    assert.equal(call(bad).body.toString(), 'a');
    for (let i = 0; i < 12; i++) call(bad);
    answer((_, name) => name === 'a');
    for (let i = 0; i < 5; i++) call(homes.get('a')![i % 5]!);
    assert.deepEqual(ejections(), [1, 0, 0], 'what fails all of its calls is ejected at its fifth');
  });

  it('do not hide an endpoint that fails all of its calls: it is ejected at its fifth fault', () => {
    start();
    answer((_, name) => name === 'a');
    for (let i = 0; i < 5; i++) call(homes.get('a')![i % 3]!);
    assert.deepEqual(ejections(), [1, 0, 0]);
  });

  it('do not hide an endpoint that fails one key which another answers well', () => {
    start();
    const [key = ''] = homes.get('a')!;
    answer((each, name) => each === key && name === 'a');
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) statuses.push(call(key).status);
    assert.deepEqual(ejections(), [1, 0, 0]);
    assert.deepEqual(countBy(statuses, String), { 0: 6, 13: 6 }, 'one more than five fails');
  });

  it('do not hide it among calls that it answers well', () => {
    start();
    const [key = ''] = homes.get('a')!;
    answer((each, name) => each === key && name === 'a');
    load(key, 3, 200);
    assert.ok(ejections()[0]! > 0);
  });

  it('do not hide failures that no request can have caused', () => {
    start();
    const [key = ''] = homes.get('a')!;
    answer((each) => each === key, Status.UNAVAILABLE);
    for (let i = 0; i < 5; i++) call(key);
    assert.deepEqual(ejections(), [1, 0, 0]);
  });

  it('go nowhere else where nothing is ejected', () => {
    start({ ejection: { mode: 'observe' } });
    const [bad = ''] = homes.get('a')!;
    answer((key) => key === bad);
    const before = pool.requestsAt('b').length + pool.requestsAt('c').length;
    for (let i = 0; i < 20; i++) call(bad);
    assert.equal(pool.requestsAt('b').length + pool.requestsAt('c').length, before);
  });
});

describe('Scenario: requests for a model that some endpoints have, and fail', () => {
  let pool: DetectorPool;

  const start = (having: Readonly<Record<string, readonly string[]>>): void => {
    const endpoints = Object.entries(having).map(([id, models]) => ({
      ...{ address: addressOf(id), weight: 1, id },
      models,
    }));
    pool = new DetectorPool(Object.keys(having), { endpoints });
  };
  const modelOf = (stream: PeerStream): string => (stream.body.includes('words') ? 'words' : 'digits');
  const fails = (model: string, ...names: string[]): void =>
    pool.answers(
      (stream) => {
        if (modelOf(stream) === model) stream.fail(Status.INTERNAL);
        else stream.reply();
      },
      ...names,
    );
  const load = (count: number): void => {
    for (let i = 0; i < count; i++) {
      for (let n = 0; n < 3; n++) pool.call({ body: aRequestFor('words') });
      pool.call({ body: aRequestFor('digits') });
      pool.advance(20);
    }
  };
  const ejections = (): number[] => pool.names.map((name) => pool.endpoint(name).ejection.ejections);

  it('eject none of those that have it', () => {
    start({ a: ['digits'], b: ['digits', 'words'], c: ['words'] });
    fails('words', 'b', 'c');
    load(200);
    assert.deepEqual(ejections(), [0, 0, 0]);
  });

  it('eject not the only one that has it, and go to no other one', () => {
    start({ a: ['digits'], b: ['digits', 'words'], c: ['digits'] });
    fails('words', 'b');
    load(400);
    assert.deepEqual(ejections(), [0, 0, 0]);
    for (const name of ['a', 'c'])
      assert.ok(
        pool.requestsAt(name).every((stream) => modelOf(stream) === 'digits'),
        name,
      );
  });

  it('do not hide an endpoint that fails it while another answers it well', () => {
    start({ a: ['digits'], b: ['digits', 'words'], c: ['words'] });
    fails('words', 'b');
    load(200);
    assert.ok(ejections()[1]! > 0);
  });

  it('do not hide the only one where it fails the others as well', () => {
    start({ a: ['digits'], b: ['digits', 'words'], c: ['digits'] });
    pool.answers((stream) => stream.fail(Status.INTERNAL), 'b');
    load(20);
    assert.ok(ejections()[1]! > 0);
  });
});
