import assert from 'node:assert/strict';
import { ActiveFault, type FaultRule, findFault } from '../../../../sidecar/core/routing/fault-rule.js';
import { seeded, sequence } from '../../../kit/time/seeded-random.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const HEALTH = '/grpc.health.v1.Health/Check';

function fault(over: Partial<FaultRule> = {}, untilMs = 1000, id = 1): ActiveFault {
  const rule = { side: 'inbound', method: '*', ratio: 1, delayMs: 0, abort: 14, ...over } as const;
  return new ActiveFault(id, rule, untilMs);
}

const find = (faults: readonly ActiveFault[], caller = 'web', path = INFER, nowMs = 0, random = () => 0) =>
  findFault(faults, caller, path, nowMs, random)?.id;

describe('Injected faults', () => {
  for (const [what, rule, caller, path, strikes] of [
    ['every call', {}, 'web', INFER, true],
    ['a caller without identity', {}, '', INFER, true],
    ['the caller that is named', { peer: 'web' }, 'web', INFER, true],
    ['no other caller', { peer: 'web' }, 'batch', INFER, false],
    ['a caller without identity where one is named', { peer: 'web' }, '', INFER, false],
    ['the method', { method: INFER }, 'web', INFER, true],
    ['no other method', { method: INFER }, 'web', HEALTH, false],
    ['the methods of a service', { method: '/grpc.health.v1.Health/*' }, 'web', HEALTH, true],
  ] as const)
    it(`${strikes ? 'apply to' : 'do not apply to'} ${what}`, () => {
      const each = fault(rule);
      assert.deepEqual([find([each], caller, path), each.injected], strikes ? [1, 1] : [undefined, 0]);
    });

  it('end by themselves', () => {
    const each = fault({}, 1000);
    const found = [999.9, 1000].map((nowMs) => find([each], 'web', INFER, nowMs));
    assert.deepEqual(found, [1, undefined]);
  });

  it('apply to a share of the calls, and draw no number for others', () => {
    const each = fault({ ratio: 0.1, peer: 'web' });
    const random = seeded(7);
    for (let i = 0; i < 5000; i++) find([each], 'web', INFER, 0, random);
    // Four standard deviations.
    assert.ok(Math.abs(each.injected - 500) < 85, `${each.injected} of 5000`);
    find([each], 'batch', INFER, 0, () => assert.fail('chance was asked'));
  });

  it('have a chance each, in their order', () => {
    const faults = [fault({ ratio: 0.5 }, 1000, 1), fault({ ratio: 0.5, delayMs: 10 }, 1000, 2)];
    const random = sequence(0.9, 0.2, 0.9, 0.9, 0.1);
    const found = Array.from({ length: 3 }, () => find(faults, 'web', INFER, 0, random));
    assert.deepEqual(found, [2, undefined, 1]);
    assert.deepEqual([faults[0]!.injected, faults[1]!.injected], [1, 1]);
  });
});
