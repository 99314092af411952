import assert from 'node:assert/strict';
import { aboutCall, withFallbacks } from '../../../../sidecar/cli/check/fallbacks.js';
import { failed, ok } from '../../../../sidecar/cli/check/finding.js';
import { type Call, readSubject } from '../../../../sidecar/cli/check/subject.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

const LOST = failed('upstream', 'no sidecar of digits', 'start one');
const DENIED = failed('intention', 'app may not call digits', 'allow it');
const REACHED = ok('upstream', 'spare can be reached');

/** The calls of a caller of `digits` whose routes have these fallbacks. The last one takes every method. */
function calls(...fallbacks: string[]): readonly Call[] {
  return callsOf(
    fallbacks.map((each, i) => {
      const methods = i === fallbacks.length - 1 ? "'*'" : `/a.B/C${i}`;
      return `{ methods: [${methods}], kind: unary, idempotent: true, ${each} }`;
    }),
  );
}
function callsOf(routes: readonly string[]): readonly Call[] {
  const upstream = (name: string, more = '') => `    ${name}: { endpoints: ["127.0.0.1:1"], ${more} }\n`;
  const text = `service: app
identity: { cert: c, key: k, roots: r }
outbound:
  upstreams:
${upstream('digits', `listen: "127.0.0.1:18800", routes: [${routes.join(', ')}]`)}${upstream('spare', 'listen: "127.0.0.1:18801"')}`;
  const { subject, findings } = readSubject(scratchForTest().write('sidecar.yaml', text));
  assert.ok(subject !== undefined, JSON.stringify(findings));
  return subject.calls;
}
const TO_SPARE = 'fallback: [{ kind: last-good }, { kind: upstream, upstream: spare }]';
const shown = (...args: Parameters<typeof withFallbacks>) =>
  withFallbacks(...args).map(({ level, what, ...rest }) => {
    assert.ok(!('call' in rest));
    return `${level}: ${what}`;
  });

describe('what check finds of an upstream with a fallback', () => {
  const found = [...aboutCall('app', 'digits', [LOST, DENIED]), ...aboutCall('app', 'spare', [REACHED])];

  it('is a warning where the fallback is reached, and no such thing for a call that is denied', () => {
    assert.deepEqual(shown(found, calls(TO_SPARE, TO_SPARE), []), [
      'warning: no sidecar of digits; its calls fall back to spare',
      'failed: app may not call digits',
      'ok: spare can be reached',
    ]);
  });

  it('is a failure where no route has a fallback to an upstream', () => {
    for (const routes of [['fallback: [{ kind: last-good }]'], []])
      assert.equal(shown(found, calls(...routes), [])[0], 'failed: no sidecar of digits', routes.join());
  });

  it('is a failure where calls of another route have none', () => {
    const routed = `{ methods: [/inference.GRPCInferenceService/ModelInfer], idempotent: true, ${TO_SPARE} }`;
    for (const routes of [
      [routed, "{ methods: ['*'] }"],
      [routed, "{ methods: ['*'], kind: unary, idempotent: true, fallback: [{ kind: last-good }] }"],
      [routed],
    ])
      assert.equal(shown(found, callsOf(routes), [])[0], 'failed: no sidecar of digits', routes.join());
  });

  it('is a failure where the fallback fails as well, or nothing is known of it', () => {
    const lost = aboutCall('app', 'digits', [LOST]);
    const first = (...more: Parameters<typeof withFallbacks>[0]) =>
      shown([...lost, ...more], calls(TO_SPARE), [])[0];
    assert.equal(first(), 'failed: no sidecar of digits');
    assert.equal(first(...aboutCall('app', 'spare', [REACHED, LOST])), 'failed: no sidecar of digits');
    assert.equal(first(...aboutCall('other', 'spare', [REACHED])), 'failed: no sidecar of digits');
  });

  it('is a warning where a running sidecar has an endpoint of the fallback', () => {
    const lost = aboutCall('app', 'digits', [LOST]);
    const level = shown(lost, calls(TO_SPARE), [{ from: 'app', to: 'spare' }])[0]!;
    assert.match(level, /^warning: /);
  });
});
