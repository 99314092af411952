import assert from 'node:assert/strict';
import type { Members } from '../../../../../sidecar/cli/chaos/mesh/members.js';
import { allowedOf, demandPermission, type Need } from '../../../../../sidecar/cli/chaos/mesh/permission.js';

type Permission = true | 'processes' | undefined;

function members(permissions: readonly Permission[], { replicaFaults = 0, callerFaults = 0 } = {}): Members {
  const at = (port: number) => ({ kind: 'tcp', host: '127.0.0.1', port }) as const;
  return {
    ...{ service: 'digits', golden: '/models' },
    replicas: permissions.map((permission, i) => ({
      ...{ name: `digits-${i + 1}`, admin: at(7001 + i), permission, faultsOn: replicaFaults },
    })),
    caller: { name: 'web', admin: at(8890), target: '127.0.0.1:8800', faultsOn: callerFaults },
  };
}

describe('the permission of a running mesh', () => {
  const demand = (permissions: readonly Permission[], needs: readonly Need[], over = {}) =>
    demandPermission(members(permissions, over), new Set(needs));

  it('is there where each replica allows what the drills do', () => {
    demand(['processes', 'processes'], ['calls', 'processes']);
    demand([true, 'processes'], ['calls']);
  });

  it('is refused with the option, what was found where, and what was expected', () => {
    assert.throws(() => demand([undefined, 'processes'], ['calls']), {
      message:
        'this mesh does not allow these scenarios; nothing was changed\ndigits-1 (127.0.0.1:7001): fault_injection: found false; expected true or processes',
      exitCode: 1,
    });
    assert.throws(
      () => demand([true, undefined], ['calls', 'processes']),
      /digits-1 .*: fault_injection: found true; expected processes\ndigits-2 .*: fault_injection: found false; expected processes/,
    );
  });

  it('does not cover a mesh on which another drill is held, nor the only replica', () => {
    const all = ['processes', 'processes'] as const;
    assert.throws(
      () => demand(all, ['calls'], { replicaFaults: 1 }),
      /already at digits-1, digits-2; nothing was done/,
    );
    assert.throws(() => demand(all, ['calls'], { callerFaults: 1 }), /already at web/);
    assert.throws(() => demand(['processes'], ['calls']), /has 1 replica; expected 2 or more/);
  });

  it('chooses the drills that every replica allows, and where none is allowed all, which are then refused', () => {
    const drills = [
      { name: 'delay', needs: 'calls' },
      { name: 'kill', needs: 'processes' },
    ] as const;
    const chosen = (...permissions: readonly Permission[]) =>
      allowedOf(drills, members(permissions)).map(({ name }) => name);
    assert.deepEqual(chosen('processes', 'processes'), ['delay', 'kill']);
    assert.deepEqual(chosen('processes', true), ['delay']);
    assert.deepEqual(chosen(true, undefined), ['delay', 'kill']);
  });
});
