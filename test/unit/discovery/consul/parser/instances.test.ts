import assert from 'node:assert/strict';
import fc from 'fast-check';
import { jsonElements } from '../../../../../sidecar/discovery/consul/parser/array-scanner.js';
import {
  type Instance,
  type InstanceList,
  MAX_INSTANCES,
  readInstances,
} from '../../../../../sidecar/discovery/consul/parser/instances.js';
import { type AnswerEntry, answerOf, entryOf } from '../../../../kit/consul/answers.js';

function read(entries: readonly unknown[], wan = false): InstanceList {
  return readInstances(answerOf(entries), { wan });
}

/** The only instance of an answer whose only entry was changed so. */
function one(change: (entry: AnswerEntry) => void, wan = false): Instance {
  const entry = entryOf(1);
  change(entry);
  const { instances, problem } = read([entry], wan);
  assert.equal(problem, undefined);
  assert.equal(instances.length, 1);
  return instances[0]!;
}

/** What is wrong with the only entry. */
function problemOf(change: (entry: AnswerEntry) => void): string {
  const entry = entryOf(1);
  change(entry);
  const { instances, skipped, problem } = read([entry, entryOf(2)]);
  assert.deepEqual(
    instances.map(({ node }) => node),
    ['node-2.fleet.example.internal'],
  );
  assert.equal(skipped, 1);
  return problem!;
}

describe('instances of a service', () => {
  it('instances of a service are read as Consul lists them', () => {
    assert.deepEqual(read([entryOf(7)]), {
      instances: [
        {
          key: '10.0.0.7:20000',
          id: 'digits-7',
          node: 'node-7.fleet.example.internal',
          address: '10.0.0.7',
          port: 20_000,
          weight: 1,
          status: 'passing',
          why: '',
          service: 'digits',
          datacenter: 'dc1',
          tags: ['v1', 'zone-1'],
          meta: { version: '1', models: 'digits', 'outrider-version': '0.1.0' },
          version: '1',
        },
      ],
      skipped: 0,
      problem: undefined,
    });
  });

  it('instances of a service may be none', () => {
    for (const text of ['[]', ' [ ] \n', '[\n\n]\n']) {
      assert.deepEqual(readInstances(Buffer.from(text), { wan: false }).instances, []);
    }
  });

  it('instances of a service may be services that speak for themselves', () => {
    const instance = one(({ Service }) => Object.assign(Service, { Kind: '', Service: 'native', Proxy: {} }));
    assert.equal(instance.service, 'native');
  });

  it('instances of a service have the id of the service that a proxy speaks for, as far as it says so', () => {
    const id = (DestinationServiceID: unknown) =>
      one(({ Service }) => Object.assign(Service, { Proxy: { DestinationServiceID } })).id;
    assert.equal(id('digits-blue'), 'digits-blue');
    for (const none of [undefined, '', 7, 'x'.repeat(513)]) assert.equal(id(none), 'digits-1-sidecar-proxy');
  });

  it('instances of a service are where their service is, else where their node is', () => {
    assert.equal(one(({ Service }) => Object.assign(Service, { Address: '10.9.9.9' })).address, '10.9.9.9');
    assert.equal(one(({ Service }) => Object.assign(Service, { Address: '' })).address, '10.0.0.1');
    assert.equal(one(({ Service }) => delete Service['Address']).address, '10.0.0.1');
    assert.equal(
      one(({ Service }) => Object.assign(Service, { Address: 'Host-1.example' })).key,
      'host-1.example:20000',
    );
  });

  it('instances of a service may have IPv6 addresses', () => {
    const instance = one(({ Service }) => Object.assign(Service, { Address: '2001:DB8::7' }));
    assert.equal(instance.address, '2001:DB8::7');
    assert.equal(instance.key, '[2001:db8::7]:20000');
  });

  it('instances of a service are at their wan address for another datacenter', () => {
    const wan = { wan: { Address: '198.51.100.7', Port: 30_000 } };
    const change = ({ Service }: AnswerEntry): unknown => Object.assign(Service, { TaggedAddresses: wan });
    assert.equal(one(change, true).key, '198.51.100.7:30000');
    assert.equal(one(change, false).key, '10.0.0.1:20000');
    const withoutPort = one(
      ({ Service }) => Object.assign(Service, { TaggedAddresses: { wan: { Address: '198.51.100.7' } } }),
      true,
    );
    assert.equal(withoutPort.key, '198.51.100.7:20000');
    const ofNode = one(({ Node, Service }) => {
      Object.assign(Service, { Address: '' });
      Object.assign(Node, { TaggedAddresses: { wan: '198.51.100.8' } });
    }, true);
    assert.equal(ofNode.key, '198.51.100.8:20000');
    const ofService = one(
      ({ Node }) => Object.assign(Node, { TaggedAddresses: { wan: '198.51.100.8' } }),
      true,
    );
    assert.equal(ofService.key, '10.0.0.1:20000');
  });

  describe('are judged by their checks', () => {
    const judged = (...checks: object[]): string => {
      const { status, why } = one((entry) => {
        entry.Checks = checks as Record<string, unknown>[];
      });
      return `${status} ${why}`.trim();
    };
    const serf = { CheckID: 'serfHealth', Name: 'Serf Health Status', Status: 'passing' };

    it('the worst check of an instance counts', () => {
      assert.equal(judged(serf), 'passing');
      assert.equal(judged(), 'passing');
      assert.equal(
        judged(serf, { Name: 'model', Status: 'warning', Output: 'slow' }, { Name: 'x', Status: 'passing' }),
        'warning model: slow',
      );
      assert.equal(
        judged({ Name: 'a', Status: 'warning', Output: 'slow' }, { Name: 'b', Status: 'critical' }),
        'critical b',
      );
    });

    it('a failing check of the service is quoted itself, not the alias check of its proxy', () => {
      const alias = (Output: string) => judged({ Name: 'service', Status: 'critical', Output });
      assert.equal(
        alias('Aliased check "model" failing: no answer for 9 s'),
        'critical model: no answer for 9 s',
      );
      for (const other of ['Aliased check "model" failing: ', 'No checks found.'])
        assert.equal(alias(other), `critical service: ${other.trim()}`);
    });

    it('a check of the node counts for its instances', () =>
      assert.equal(
        judged({ ...serf, Status: 'critical', Output: 'Agent not live or unreachable' }),
        'critical Serf Health Status: Agent not live or unreachable',
      ));

    it('maintenance comes before other checks', () => {
      const failing = { Name: 'model', Status: 'critical', Output: 'dead' };
      for (const id of ['_node_maintenance', '_service_maintenance:digits-1']) {
        const maintenance = {
          CheckID: id,
          Name: 'Maintenance Mode',
          Status: 'critical',
          Output: '',
          Notes: 'new disk',
        };
        assert.equal(judged(failing, maintenance), 'critical Maintenance Mode: new disk');
      }
    });

    it('the reason of a status is one line', () => {
      const output = `\n first \u001b[31mline\tof\u2028it \nsecond`;
      assert.equal(
        judged({ Name: 'c', Status: 'critical', Output: output }),
        'critical c: first  [31mline of it',
      );
      const long = judged({ Name: 'c', Status: 'critical', Output: 'x'.repeat(100_000) });
      assert.equal(long.length, 'critical '.length + 200);
      assert.equal(judged({ CheckID: 'id', Status: 'critical' }), 'critical id');
    });

    it('an entry that is no check is passed over', () => {
      assert.equal(
        judged(null as never, 5 as never, {}, { Status: 'broken' }, { Status: ['critical'] }),
        'passing',
      );
      assert.equal(one((entry) => Object.assign(entry, { Checks: 'critical' })).status, 'passing');
    });
  });

  it('instances of a service have the weight of their status', () => {
    const weighted = (status: string, weights: unknown): number =>
      one((entry) => {
        Object.assign(entry.Service, { Weights: weights });
        entry.Checks = [{ Name: 'c', Status: status }];
      }).weight;
    assert.equal(weighted('passing', { Passing: 10, Warning: 2 }), 10);
    assert.equal(weighted('warning', { Passing: 10, Warning: 2 }), 2);
    assert.equal(weighted('critical', { Passing: 10, Warning: 2 }), 10);
    assert.equal(weighted('warning', { Passing: 10, Warning: 0 }), 0);
    assert.equal(weighted('passing', undefined), 1);
    assert.equal(weighted('passing', { Passing: 'many' }), 1);
    assert.equal(weighted('passing', { Passing: -3 }), 0);
    assert.equal(weighted('passing', { Passing: 1e9 }), 65_535);
  });

  describe('that make no sense are left out', () => {
    const at = 'instance "digits-1-sidecar-proxy" on node "node-1.fleet.example.internal"';
    const cases: Record<string, [(entry: AnswerEntry) => unknown, string]> = {
      'no host': [
        (e) => Object.assign(e.Service, { Address: 'no host' }),
        `${at}: found the address "no host"; expected an IP address or a host name`,
      ],
      'an address with more in it': [
        (e) => Object.assign(e.Service, { Address: '10.0.0.1\r\nx' }),
        `${at}: found the address "10.0.0.1 x"; expected an IP address or a host name`,
      ],
      'a huge id': [
        (e) => Object.assign(e.Service, { ID: 'i'.repeat(1000) }),
        `instance "${'i'.repeat(79)}…" on node "node-1.fleet.example.internal": found an ID of 1000 characters`,
      ],
      'a huge destination': [
        (e) => Object.assign(e.Service, { Proxy: { DestinationServiceName: 'd'.repeat(1000) } }),
        `${at}: found a service name of 1000 characters; expected 1 to 512`,
      ],
      'no service': [
        (e) => Object.assign(e, { Service: null }),
        'an entry has no Node or no Service; expected both, as objects',
      ],
      'a list as node': [
        (e) => Object.assign(e, { Node: [] }),
        'an entry has no Node or no Service; expected both, as objects',
      ],
      'a huge entry': [
        (e) => Object.assign(e.Node, { Meta: { a: 'x'.repeat(300_000) } }),
        `an entry has ${300_000 + JSON.stringify(entryOf(1)).length - 21} bytes; expected at most 262144`,
      ],
    };
    for (const [name, port] of [
      ['a port too large', 65_536],
      ['port 0', 0],
      ['half a port', 80.5],
      ['a port in words', '80'],
    ] as const)
      cases[name] = [
        (e) => Object.assign(e.Service, { Port: port }),
        `${at}: found the port ${JSON.stringify(port)}; expected 1 to 65535`,
      ];
    for (const [name, [change, problem]] of Object.entries(cases)) {
      it(name, () => assert.equal(problemOf(change), problem));
    }

    it('entries that are no objects are left out', () => {
      const { instances, skipped, problem } = read([null, 5, 'x', [], {}, true, entryOf(1)]);
      assert.equal(instances.length, 1);
      assert.equal(skipped, 6);
      assert.equal(problem, 'an entry has no Node or no Service; expected both, as objects');
    });

    it('of two instances with one address the healthier one counts', () => {
      const stale = entryOf(1, { host: '10.1.1.1', status: 'critical' });
      const fresh = entryOf(2, { host: '10.1.1.1' });
      for (const entries of [
        [stale, fresh],
        [fresh, stale],
      ]) {
        const { instances, skipped, problem } = read(entries);
        assert.deepEqual(
          instances.map(({ id }) => id),
          ['digits-2'],
        );
        assert.equal(skipped, 1);
        assert.match(problem!, /has the address 10\.1\.1\.1:20000 of instance .*; the healthier one counts$/);
      }
    });

    it('instances beyond the bound of one answer are left out', () => {
      const small = (n: number): object => ({
        Node: { Address: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` },
        Service: { ID: 'a', Service: 'a', Port: 1 },
      });
      const { instances, skipped } = read(Array.from({ length: MAX_INSTANCES + 10 }, (_, n) => small(n)));
      assert.equal(instances.length, MAX_INSTANCES);
      assert.equal(skipped, 10);
    });
  });

  it('instances of a service have bounded tags and metadata of the right kind only', () => {
    const instance = one(({ Service }) =>
      Object.assign(Service, {
        Tags: ['a', 5, null, 'x'.repeat(1000), ...Array.from({ length: 500 }, (_, i) => `t${i}`)],
        Meta: { good: 'yes', number: 5, long: 'x'.repeat(1000), ['y'.repeat(1000)]: 'z' },
      }),
    );
    assert.equal(instance.tags.length, 128);
    assert.deepEqual(instance.tags.slice(0, 2), ['a', 't0']);
    assert.deepEqual(instance.meta, { good: 'yes' });
    assert.equal('version' in instance, false);
  });

  it('instances of a service cannot change what all objects inherit', () => {
    const text = answerOf([entryOf(1)])
      .toString()
      .replace('"models":"digits"', '"__proto__":"polluted"');
    const { instances } = readInstances(Buffer.from(text), { wan: false });
    assert.ok(Object.hasOwn(instances[0]!.meta, '__proto__'));
    assert.equal(Object.getPrototypeOf(instances[0]!.meta), Object.prototype);
  });

  it('instances of a service survive whatever JSON there is', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.boolean(), (entries, wan) => {
        assert.equal(read(entries, wan).instances.length, 0);
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
      assert.throws(() => readInstances(Buffer.from(text), { wan: false }), new Error(problem)));
  }

  it('instances of a service are not to be had from an answer cut short anywhere', () => {
    const whole = answerOf([entryOf(1), entryOf(2)]);
    for (let length = 0; length < whole.length; length += 1) {
      assert.throws(() => readInstances(whole.subarray(0, length), { wan: false }));
    }
  });
});

describe('the elements of a JSON array', () => {
  it('elements of a JSON array are what JSON.parse finds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue({ noUnicodeString: false })),
        fc.constantFrom(0, 2),
        (values, indent) => {
          const text = Buffer.from(JSON.stringify(values, null, indent));
          const found = [...jsonElements(text, 1e6)].map(({ text: each }) => JSON.parse(each!) as unknown);
          assert.deepEqual(found, JSON.parse(text.toString()));
        },
      ),
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
