import assert from 'node:assert/strict';
import { readSubject } from '../../../../sidecar/cli/check/subject.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('what a file describes', () => {
  const scratch = scratchForEach();
  const portsOf = (text: string): Record<string, number> => {
    const { subject, findings } = readSubject(scratch.write('file.yaml', text));
    assert.ok(subject !== undefined, JSON.stringify(findings));
    return Object.fromEntries(subject.ports.map(({ of, port }) => [of, port]));
  };

  it('has every port that a sidecar opens', () =>
    assert.deepEqual(
      portsOf(`service: s
identity: { cert: c, key: k, roots: r }
admin: 127.0.0.1:1
observe: 127.0.0.1:2
scaler: { listen: "127.0.0.1:3" }
inbound: { listen: "127.0.0.1:4", local: "unix:/m" }
outbound:
  shared: { listen: "127.0.0.1:5" }
  upstreams: { u: { listen: "127.0.0.1:6", endpoints: ["10.0.0.1:1"] } }
`),
      { 'admin port': 1, observe: 2, scaler: 3, inbound: 4, 'shared listener': 5, 'upstream u': 6 },
    ));

  it('has every port that a mesh fixes', () =>
    assert.deepEqual(
      portsOf(`services: { a: { models: m, port_base: 20 } }
observe: 127.0.0.1:30
caller:
  name: app
  admin: 127.0.0.1:1
  scaler: { listen: "127.0.0.1:3" }
  shared: { listen: "127.0.0.1:5" }
  upstreams: { a: { listen: "127.0.0.1:6" } }
`),
      {
        ...{ 'observe, sidecar 1 of 2': 30, 'observe, sidecar 2 of 2': 31 },
        ...{ 'admin port of app': 1, 'scaler of app': 3, 'shared listener': 5, 'upstream a': 6 },
        'a, port_base': 21,
      },
    ));
});
