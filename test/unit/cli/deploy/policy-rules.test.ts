import assert from 'node:assert/strict';
import {
  meshNeeds,
  type PolicyNeeds,
  policyRules,
  sidecarNeeds,
} from '../../../../sidecar/cli/deploy/policy-rules.js';
import { loadMeshFile, loadSidecarFile } from '../../../../sidecar/config/file/load.js';

describe('the ACL rules of a sidecar', () => {
  it('write its own service and proxy, read what it calls with what it falls over to, and nothing by prefix but nodes', () => {
    const file = loadSidecarFile('mesh-config/sidecar-on-consul.yaml');
    assert.ok(file.ok);
    const rules = policyRules({ ...sidecarNeeds(file.config), node: 'machine "1"' });
    for (const rule of [
      'service "digits" { policy = "write" }',
      'service "digits-sidecar-proxy" { policy = "write" }',
      'service "digits-lite" { policy = "read" }',
      'service "digits-tiny-sidecar-proxy" { policy = "read" }',
      'agent "machine \\"1\\"" { policy = "read" }',
    ])
      assert.ok(rules.includes(`\n${rule}\n`), rule);
    assert.deepEqual(rules.match(/^\w+_prefix.*$/gm), ['node_prefix "" { policy = "read" }']);
  });

  it('of a mesh file are those of all its sidecars, each once', () => {
    const file = loadMeshFile('mesh-config/consul.yaml');
    assert.ok(file.ok);
    const rules = policyRules(meshNeeds(file.config)).split('\n');
    assert.equal(rules.filter((rule) => rule === 'service "digits" { policy = "write" }').length, 1);
    assert.ok(rules.includes('service "demo-client" { policy = "write" }'));
    assert.ok(!rules.some((rule) => /service .*read/.test(rule)));
  });

  it('write the end of the audit log of their own service, where there is one, and of no other', () => {
    const file = loadSidecarFile('mesh-config/deploy/three-machines/ask.yaml');
    assert.ok(file.ok);
    const audit = { path: '/var/log/a.jsonl', rotateAtBytes: 1_000_000, keep: 1 };
    const keysOf = (needs: PolicyNeeds) => policyRules(needs).match(/^key.*audit.*$/gm);
    const { audit: _, ...config } = file.config;
    assert.equal(keysOf(sidecarNeeds(config)), null);
    assert.deepEqual(keysOf(sidecarNeeds({ ...config, audit })), [
      'key_prefix "outrider/audit/ask/" { policy = "write" }',
    ]);
    const mesh = loadMeshFile('mesh-config/consul.yaml');
    assert.ok(mesh.ok);
    const { audit: __, ...plain } = mesh.config;
    assert.equal(keysOf(meshNeeds(plain)), null);
    const audited = { ...plain, audit: { directory: '/var/log', rotateAtBytes: 1, keep: 1 } };
    const all: readonly string[] = keysOf(meshNeeds(audited)) ?? [];
    assert.ok(all.includes('key_prefix "outrider/audit/digits/" { policy = "write" }'));
    assert.ok(
      all.every((rule) => /audit\/[^/"]+\/"/.test(rule)),
      all.join(),
    );
  });

  it('write the record of a rollout and its sessions only for services that have rollouts', () => {
    const needs = { services: ['a', 'b'], called: [], audited: [], rollouts: [] };
    assert.doesNotMatch(policyRules(needs), /key_prefix|session/);
    const rules = policyRules({ ...needs, rollouts: ['b'], node: 'm1' });
    assert.ok(rules.includes('\nkey_prefix "outrider/rollout/b/" { policy = "write" }\n'));
    assert.ok(rules.includes('\nsession "m1" { policy = "write" }\n'));
    assert.doesNotMatch(rules, /rollout\/a/);
    assert.match(policyRules({ ...needs, rollouts: ['b'] }), /^session_prefix "" /m);
  });

  it('of a file are those of its own rollout', () => {
    const file = loadSidecarFile('mesh-config/deploy/three-machines/digits.yaml');
    assert.ok(file.ok);
    const isAllowed = /^key_prefix "outrider\/rollout\/digits\/"/m;
    assert.match(policyRules(sidecarNeeds(file.config)), isAllowed);
    const { rollout: _, ...model } = file.config.model!;
    const withModel = (more: object) =>
      policyRules(sidecarNeeds({ ...file.config, model: { ...model, ...more } }));
    assert.doesNotMatch(withModel({}), isAllowed);
    assert.match(withModel({ recycle: {} }), isAllowed, 'one replica recycles at a time');
  });
});
