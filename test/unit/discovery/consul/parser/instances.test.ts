import assert from 'node:assert/strict';
import fc from 'fast-check';
import { jsonElements } from '../../../../../sidecar/discovery/consul/parser/array-scanner.js';
import {
  type Instance,
  type InstanceList,
  MAX_INSTANCES,
  readInstances,
} from '../../../../../sidecar/discovery/consul/parser/instances.js';
import { type AnswerEntry, anInstance, answerOf, entryOf } from '../../../../kit/consul/answers.js';

const NEAR = { wan: false };
const FAR = { wan: true };

function read(entries: readonly unknown[], options = NEAR): InstanceList {
  return readInstances(answerOf(entries), options);
}

/** Fields of an entry in place of its own. */
type Over = Partial<Record<keyof AnswerEntry, object>>;

function entryWith({ Node, Service, Checks }: Over): AnswerEntry {
  const entry = entryOf(1);
  Object.assign(entry.Node, Node);
  Object.assign(entry.Service, Service);
  return { ...entry, ...(Checks === undefined ? {} : { Checks: Checks as AnswerEntry['Checks'] }) };
}

/** The only instance of an answer whose only entry was changed so. */
function one(over: Over, options = NEAR): Instance {
  const { instances, problem } = read([entryWith(over)], options);
  assert.deepEqual([instances.length, problem], [1, undefined]);
  return instances[0]!;
}

/** What is wrong with the only entry. */
function problemOf(entry: object): string {
  const { instances, skipped, problem } = read([entry, entryOf(2)]);
  const nodes = instances.map(({ node }) => node);
  assert.deepEqual([nodes, skipped], [['node-2.fleet.example.internal'], 1]);
  return problem!;
}

describe('instances of a service', () => {
  it('instances of a service are read as Consul lists them', () => {
    const place = { node: 'node-7.fleet.example.internal', address: '10.0.0.7', port: 20_000 };
    const meta = { version: '1', models: 'digits', 'outrider-version': '0.1.0' };
    const rest = { service: 'digits', tags: ['v1', 'zone-1'], meta };
    const instance = anInstance('digits-7', { key: '10.0.0.7:20000', ...place, ...rest });
    assert.deepEqual(read([entryOf(7)]), { instances: [instance], skipped: 0, problem: undefined });
  });

  it('instances of a service may be none', () => {
    for (const text of ['[]', ' [ ] \n', '[\n\n]\n'])
      assert.deepEqual(readInstances(Buffer.from(text), NEAR).instances, []);
  });

  it('instances of a service may be services that speak for themselves', () => {
    assert.equal(one({ Service: { Kind: '', Service: 'native', Proxy: {} } }).service, 'native');
  });

  it('instances of a service have the id of the service that a proxy speaks for, as far as it says so', () => {
    const id = (DestinationServiceID: unknown) => one({ Service: { Proxy: { DestinationServiceID } } }).id;
    assert.equal(id('digits-blue'), 'digits-blue');
    for (const none of [undefined, '', 7, 'x'.repeat(513)]) assert.equal(id(none), 'digits-1-sidecar-proxy');
  });

  it('instances of a service are where their service is, else where their node is', () => {
    for (const [Address, address] of [
      ['10.9.9.9', '10.9.9.9'],
      ['', '10.0.0.1'],
      [undefined, '10.0.0.1'],
    ] as const)
      assert.equal(one({ Service: { Address } }).address, address);
    assert.equal(one({ Service: { Address: 'Host-1.example' } }).key, 'host-1.example:20000');
  });

  it('instances of a service may have IPv6 addresses', () => {
    const { address, key } = one({ Service: { Address: '2001:DB8::7' } });
    assert.deepEqual([address, key], ['2001:DB8::7', '[2001:db8::7]:20000']);
  });

  it('instances of a service are at their wan address for another datacenter', () => {
    const tagged = (wan: unknown) => ({ TaggedAddresses: { wan } });
    const Service = tagged({ Address: '198.51.100.7', Port: 30_000 });
    assert.equal(one({ Service }, FAR).key, '198.51.100.7:30000');
    assert.equal(one({ Service }, NEAR).key, '10.0.0.1:20000');
    const withoutPort = one({ Service: tagged({ Address: '198.51.100.7' }) }, FAR);
    assert.equal(withoutPort.key, '198.51.100.7:20000');
    const Node = tagged('198.51.100.8');
    assert.equal(one({ Node, Service: { Address: '' } }, FAR).key, '198.51.100.8:20000');
    assert.equal(one({ Node }, FAR).key, '10.0.0.1:20000');
  });

  it('instances of a service are where Consul says: Locality (1.17) before metadata, the instance before its node', () => {
    const placeOf = (over: Over, options = NEAR) => one(over, options).place;
    const meta = (region: string, zone: string) => ({ Meta: { region, zone } });
    const locality = (Region: string, Zone: string) => ({ Locality: { Region, Zone } });
    assert.equal(placeOf({}), undefined);
    assert.equal(placeOf({ Service: meta('eu', 'a'), Node: meta('us', 'b') }), 'eu/a');
    assert.equal(placeOf({ Node: meta('us', 'b') }), 'us/b');
    assert.equal(
      placeOf({ Service: { ...meta('eu', 'a'), ...locality('eu-west-1', 'eu-west-1b') } }),
      'eu-west-1/eu-west-1b',
    );
    assert.equal(placeOf({ Node: { ...locality('us', 'c'), Datacenter: 'dc7' }, Service: {} }), 'us/c');
    assert.equal(placeOf({ Node: { Datacenter: 'dc7', Meta: { zone: 'b' } } }), 'dc7/b');
    const keys = { ...NEAR, placeKeys: { region: 'r', zone: 'rack' } };
    assert.equal(placeOf({ Node: { Meta: { r: 'eu', rack: '7', zone: 'a' } } }, keys), 'eu/7');
    for (const odd of [null, 7, [], { Region: 7 }])
      assert.equal(placeOf({ Service: { Locality: odd } }), undefined);
  });

  describe('are judged by their checks', () => {
    const judged = (...checks: object[]): string => {
      const { status, why } = one({ Checks: checks });
      return `${status} ${why}`.trim();
    };
    const serf = { CheckID: 'serfHealth', Name: 'Serf Health Status', Status: 'passing' };

    it('the worst check of an instance counts', () => {
      assert.equal(judged(serf), 'passing');
      assert.equal(judged(), 'passing');
      const slow = { Name: 'model', Status: 'warning', Output: 'slow' };
      assert.equal(judged(serf, slow, { Name: 'x', Status: 'passing' }), 'warning model: slow');
      assert.equal(judged(slow, { Name: 'b', Status: 'critical' }), 'critical b');
    });

    it('a failing check of the service is quoted itself, not the alias check of its proxy', () => {
      const alias = (Output: string) => judged({ Name: 'service', Status: 'critical', Output });
      const failing = 'Aliased check "model" failing: no answer for 9 s';
      assert.equal(alias(failing), 'critical model: no answer for 9 s');
      for (const other of ['Aliased check "model" failing: ', 'No checks found.'])
        assert.equal(alias(other), `critical service: ${other.trim()}`);
    });

    it('a check of the node counts for its instances', () => {
      const Output = 'Agent not live or unreachable';
      const failing = judged({ ...serf, Status: 'critical', Output });
      assert.equal(failing, `critical Serf Health Status: ${Output}`);
    });

    it('maintenance comes before other checks', () => {
      const failing = { Name: 'model', Status: 'critical', Output: 'dead' };
      const maintenance = { Name: 'Maintenance Mode', Status: 'critical', Output: '', Notes: 'new disk' };
      for (const CheckID of ['_node_maintenance', '_service_maintenance:digits-1'])
        assert.equal(judged(failing, { ...maintenance, CheckID }), 'critical Maintenance Mode: new disk');
    });

    it('maintenance is told apart from failures, also where the alias check of a proxy says it', () => {
      const isMaintained = (...Checks: object[]) => one({ Checks }).isMaintained;
      const failing = { Name: 'model', Status: 'critical', Output: 'dead' };
      const alias = (name: string) => ({
        ...{ Name: 'service', Status: 'critical' },
        Output: `Aliased check "${name}" failing: `,
      });
      assert.equal(isMaintained(failing), undefined);
      assert.equal(isMaintained(alias('model')), undefined);
      assert.equal(isMaintained({ CheckID: '_node_maintenance', Status: 'passing' }), undefined);
      assert.equal(isMaintained(failing, { CheckID: '_node_maintenance', Status: 'critical' }), true);
      assert.equal(isMaintained(alias('Service Maintenance Mode')), true);
      assert.equal(isMaintained(alias('Node Maintenance Mode')), true);
    });

    it('the reason of a status is one line', () => {
      const Output = `\n first \u001b[31mline\tof\u2028it \nsecond`;
      assert.equal(judged({ Name: 'c', Status: 'critical', Output }), 'critical c: first  [31mline of it');
      const long = judged({ Name: 'c', Status: 'critical', Output: 'x'.repeat(100_000) });
      assert.equal(long.length, 'critical '.length + 200);
      assert.equal(judged({ CheckID: 'id', Status: 'critical' }), 'critical id');
    });

    it('an entry that is no check is passed over', () => {
      const none = [null as never, 5 as never, {}, { Status: 'broken' }, { Status: ['critical'] }];
      assert.equal(judged(...none), 'passing');
      assert.equal(one({ Checks: 'critical' as never }).status, 'passing');
    });
  });

  it('instances of a service have the weight of their status', () => {
    for (const [Status, Weights, weight] of [
      ['passing', { Passing: 10, Warning: 2 }, 10],
      ['warning', { Passing: 10, Warning: 2 }, 2],
      ['critical', { Passing: 10, Warning: 2 }, 10],
      ['warning', { Passing: 10, Warning: 0 }, 0],
      ['passing', undefined, 1],
      ['passing', { Passing: 'many' }, 1],
      ['passing', { Passing: -3 }, 0],
      ['passing', { Passing: 1e9 }, 65_535],
    ] as const)
      assert.equal(one({ Service: { Weights }, Checks: [{ Name: 'c', Status }] }).weight, weight);
  });

  describe('that make no sense are left out', () => {
    const at = 'instance "digits-1-sidecar-proxy" on node "node-1.fleet.example.internal"';
    const noHost = (shown: string) =>
      `${at}: found the address "${shown}"; expected an IP address or a host name`;
    const noPort = (port: unknown) => `${at}: found the port ${JSON.stringify(port)}; expected 1 to 65535`;
    const service = (Service: object) => entryWith({ Service });
    const neither = 'an entry has no Node or no Service; expected both, as objects';
    const longName = { DestinationServiceName: 'd'.repeat(1000) };
    const longId = `instance "${'i'.repeat(79)}…" on node "node-1.fleet.example.internal"`;
    const huge = 300_000 + JSON.stringify(entryOf(1)).length - 21;
    for (const [name, entry, problem] of [
      ['no host', service({ Address: 'no host' }), noHost('no host')],
      ['an address with more in it', service({ Address: '10.0.0.1\r\nx' }), noHost('10.0.0.1 x')],
      ['a huge id', service({ ID: 'i'.repeat(1000) }), `${longId}: found an ID of 1000 characters`],
      [
        'a huge destination',
        service({ Proxy: longName }),
        `${at}: found a service name of 1000 characters; expected 1 to 512`,
      ],
      ['no service', { ...entryOf(1), Service: null }, neither],
      ['a list as node', { ...entryOf(1), Node: [] }, neither],
      [
        'a huge entry',
        entryWith({ Node: { Meta: { a: 'x'.repeat(300_000) } } }),
        `an entry has ${huge} bytes; expected at most 262144`,
      ],
      ['a port too large', service({ Port: 65_536 }), noPort(65_536)],
      ['port 0', service({ Port: 0 }), noPort(0)],
      ['half a port', service({ Port: 80.5 }), noPort(80.5)],
      ['a port in words', service({ Port: '80' }), noPort('80')],
    ] as const)
      it(name, () => assert.equal(problemOf(entry), problem));

    it('entries that are no objects are left out', () => {
      const { instances, skipped, problem } = read([null, 5, 'x', [], {}, true, entryOf(1)]);
      assert.deepEqual([instances.length, skipped, problem], [1, 6, neither]);
    });

    it('of two instances with one address the healthier one counts', () => {
      const stale = entryOf(1, { host: '10.1.1.1', status: 'critical' });
      const fresh = entryOf(2, { host: '10.1.1.1' });
      for (const first of [stale, fresh]) {
        const { instances, skipped, problem } = read([first, first === stale ? fresh : stale]);
        const ids = instances.map(({ id }) => id);
        assert.deepEqual([ids, skipped], [['digits-2'], 1]);
        assert.match(problem!, /has the address 10\.1\.1\.1:20000 of instance .*; the healthier one counts$/);
      }
    });

    it('instances beyond the bound of one answer are left out', () => {
      const small = (n: number): object => ({
        Node: { Address: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` },
        Service: { ID: 'a', Service: 'a', Port: 1 },
      });
      const { instances, skipped } = read(Array.from({ length: MAX_INSTANCES + 10 }, (_, n) => small(n)));
      assert.deepEqual([instances.length, skipped], [MAX_INSTANCES, 10]);
    });
  });

  it('instances of a service have bounded tags and metadata of the right kind only', () => {
    const Tags = ['a', 5, null, 'x'.repeat(1000), ...Array.from({ length: 500 }, (_, i) => `t${i}`)];
    const Meta = { good: 'yes', number: 5, long: 'x'.repeat(1000), ['y'.repeat(1000)]: 'z' };
    const instance = one({ Service: { Tags, Meta } });
    assert.equal(instance.tags.length, 128);
    assert.deepEqual(instance.tags.slice(0, 2), ['a', 't0']);
    assert.deepEqual(instance.meta, { good: 'yes' });
  });

  it('instances of a service cannot change what all objects inherit', () => {
    const answer = answerOf([entryOf(1)]).toString();
    const text = answer.replace('"models":"digits"', '"__proto__":"polluted"');
    const { instances } = readInstances(Buffer.from(text), NEAR);
    assert.ok(Object.hasOwn(instances[0]!.meta, '__proto__'));
    assert.equal(Object.getPrototypeOf(instances[0]!.meta), Object.prototype);
  });

  it('instances of a service survive whatever JSON there is', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.boolean(), (entries, wan) => {
        assert.equal(read(entries, { wan }).instances.length, 0);
      }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('Node', 'Service', 'Checks'),
        fc.constantFrom(...Object.keys(entryOf(1).Service), 'Datacenter', 'Node', '0'),
        fc.jsonValue(),
        (part, field, value) => {
          const entry = entryOf(1) as unknown as Record<string, Record<string, unknown>>;
          entry[part]![field] = value;
          read([entry, entryOf(2)]);
        },
      ),
      { numRuns: 500 },
    );
  });

  for (const [text, problem] of [
    ['', 'found nothing; expected a JSON array'],
    ['{"a":1}', 'found an object; expected a JSON array'],
    ['<html>', 'found a markup page; expected a JSON array'],
    ['null', 'found something else; expected a JSON array'],
    ['rpc error', 'found something else; expected a JSON array'],
    ['[', 'found an end after 1 bytes, within an element; expected a JSON array'],
    ['[{"a":"]', 'found an end after 8 bytes, within an element; expected a JSON array'],
    ['[{}] x', 'found something else after the JSON array'],
    ['[{} {}]', 'an entry is not JSON'],
    ['[{},]', 'an entry is not JSON'],
    ['[,]', 'an entry is not JSON'],
    ['[}]', 'an entry is not JSON'],
    ['[{]}]', 'an entry is not JSON'],
  ] as const) {
    it(`are not to be had from ${text === '' ? 'nothing' : text}`, () =>
      assert.throws(() => readInstances(Buffer.from(text), NEAR), new Error(problem)));
  }

  it('instances of a service are not to be had from an answer cut short anywhere', () => {
    const whole = answerOf([entryOf(1), entryOf(2)]);
    for (let length = 0; length < whole.length; length += 1) {
      assert.throws(() => readInstances(whole.subarray(0, length), NEAR));
    }
  });
});

describe('the elements of a JSON array', () => {
  it('elements of a JSON array are what JSON.parse finds', () => {
    const indent = fc.constantFrom(0, 2);
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ noUnicodeString: false })), indent, (values, spaces) => {
        const text = Buffer.from(JSON.stringify(values, null, spaces));
        const found = [...jsonElements(text, 1e6)].map(({ text: each }) => JSON.parse(each!) as unknown);
        assert.deepEqual(found, JSON.parse(text.toString()));
      }),
    );
  });

  it('elements of a JSON array are measured and not read where they are too large', () => {
    const found = [...jsonElements(Buffer.from('["abc",1]'), 3)];
    assert.deepEqual(found, [
      { bytes: 5, text: undefined },
      { bytes: 1, text: '1' },
    ]);
  });
});
