/** A configuration written as a file is the same configuration when it is read. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { SidecarConfig } from '../../../sidecar/config/model.js';
import { formatProblems } from '../../../sidecar/config/problem.js';
import { stringifySidecar } from '../../../sidecar/config/stringify.js';
import { sidecarFiles } from '../../kit/config/arbitrary-file.js';
import { MODEL_PROCESS } from '../../kit/config/problems-of.js';
import { runs } from '../../kit/mocha/effort.js';

function configOf(text: string): SidecarConfig {
  const result = parseSidecarFile(text, '/etc/outrider/sidecar.yaml');
  assert.ok(result.ok, result.ok ? '' : `${formatProblems(result.problems)}\n${text}`);
  return result.config;
}

describe('writing a sidecar file', function () {
  this.timeout(60_000);

  it('gives back every configuration that a file can say', () =>
    fc.assert(
      fc.property(sidecarFiles, (file) => {
        const config = configOf(JSON.stringify(file));
        assert.deepEqual(configOf(stringifySidecar(config)), config);
      }),
      { numRuns: runs(25), seed: 1 },
    ));

  it('says the same text for the same configuration', () =>
    fc.assert(
      fc.property(sidecarFiles, (file) => {
        const text = stringifySidecar(configOf(JSON.stringify(file)));
        assert.equal(stringifySidecar(configOf(text)), text);
      }),
      { numRuns: runs(10), seed: 1 },
    ));

  const MINIMAL = 'service: a\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", mtls: off}';

  it('says defaults too, so that a reader with other defaults reads the same', () => {
    const text = stringifySidecar(configOf(MINIMAL));
    for (const option of [
      'trust_domain',
      'max_waiting',
      'memory_budget',
      'drain_timeout',
      'default_intention',
    ])
      assert.match(text, new RegExp(`\\b${option}: `));
  });

  it('says what Consul is asked, and leaves out what Consul says', () => {
    const text = stringifySidecar(
      configOf('service: a\nconsul: {}\noutbound: {upstreams: {b: {listen: "127.0.0.1:1"}}}'),
    );
    assert.match(text, /registration:\n {4}tags: \[\]/);
    assert.match(text, /consul:\n {8}service: b\n/);
    assert.doesNotMatch(text, /trust_domain|datacenter| endpoints:|identity/);
  });

  it('quotes what would read as something else', () => {
    const config = {
      ...configOf(MINIMAL),
      instance: '007',
      model: modelWith({ A: 'true', B: '1.0', C: '~', D: '' }),
    };
    assert.deepEqual(configOf(stringifySidecar(config)), config);
  });

  it('does not use aliases for parts that are shared', () => {
    const once = configOf(MINIMAL);
    const routes = once.inbound!.routes;
    const config = { ...once, inbound: { ...once.inbound!, routes: [...routes] } };
    assert.doesNotMatch(stringifySidecar(config), /[&*][a-z]\d/);
  });

  it('throws for numbers that no file can say, instead of writing another configuration', () => {
    const config = configOf(MINIMAL);
    assert.throws(() => stringifySidecar({ ...config, drainTimeoutMs: 0.5 }), RangeError);
    assert.throws(() => stringifySidecar({ ...config, drainTimeoutMs: -1 }), RangeError);
  });
});

function modelWith(env: Record<string, string>) {
  return { command: ['run', '--flag', '- x', 'a: b', '#'], ...MODEL_PROCESS, env };
}
