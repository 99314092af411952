import assert from 'node:assert/strict';
import { isPassingFailure } from '../../../../sidecar/core/discovery/passing-failure.js';

describe('a failure of Consul', () => {
  for (const [status, said] of [
    [500, 'No cluster leader'],
    [500, '500 rpc error making call: rpc error making call: No cluster leader'],
    [500, 'rpc error making call: EOF'],
    [
      500,
      'rpc error getting client: failed to get conn: dial tcp 10.0.0.1:8300: connect: connection refused',
    ],
    [500, 'rpc error: code = Unavailable desc = transport is closing'],
    [500, 'No known Consul servers'],
    [500, 'No path to datacenter'],
    [500, 'Intentions are read only while being upgraded to config entries'],
    [500, 'rpc error making call: Raft leader not found in server lookup mapping'],
    [500, 'snapshot restored while committing log'],
    [500, 'the servers of the datacenter cannot be reached'],
    [500, ''],
    [429, ''],
    [503, 'upstream connect error'],
  ] as const)
    it(`may pass: ${status} ${said}`, () => assert.ok(isPassingFailure(status, said)));

  for (const [status, said] of [
    [
      500,
      'discovery chain "leader" uses inconsistent protocols; service "eof" has "http" which is not "tcp"',
    ],
    [500, 'rpc error making call: detected circular reference: [resolver:a.default -> resolver:b.default]'],
    [500, 'cannot use legacy intention API to edit intentions with a destination of "b" after editing them'],
    [500, 'Connect must be enabled in order to use this endpoint'],
    [500, 'Invalid Intention: SourceName must be set'],
    [400, 'No cluster leader'],
    [403, 'rpc error making call: Permission denied'],
  ] as const)
    it(`stays: ${status} ${said}`, () => assert.ok(!isPassingFailure(status, said)));
});
