import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsOf } from '../../../sidecar/app/metrics/traffic.js';
import {
  declaredMetrics,
  documentedLabels,
  LABEL_NAMES,
  metricsReference,
} from '../../../tools/metrics-reference.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { anInbound, anUpstream, aSafeRoute, Stack } from '../../kit/stack/stack.js';

const folder = join(packageRoot, 'sidecar');
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .sort()
  .map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }));
const families = declaredMetrics(sources.map(({ text }) => text));

describe('mesh-config/METRICS.md', () => {
  it('is what `npm run generate` writes', () => {
    const file = readFileSync(join(packageRoot, 'mesh-config', 'METRICS.md'), 'utf8');
    assert.equal(file, metricsReference(families));
  });

  it('knows every name that stands anywhere in the sources', () => {
    const known = new Set(families.map(({ name }) => name));
    for (const { name: file, text } of sources) {
      if (file.endsWith('metrics-reference.ts')) continue;
      // The series of a histogram have names of their own.
      for (const [, name] of text.matchAll(/'((?:outrider|process|nv|gen_ai)_[a-z]\w+)'/g))
        assert.ok(
          known.has(name!.replace(/_(bucket|sum|count)$/, '')) || known.has(name!),
          `${file}: ${name} is made in a way that the page does not see`,
        );
    }
  });

  it('names every family as Prometheus wants it, and helps with a sentence', () => {
    for (const { kind, name, help } of families) {
      assert.match(name, /^[a-z][a-z0-9_]*$/);
      // Names of Triton's are what its users know.
      if (!name.startsWith('nv_'))
        assert.equal(name.endsWith('_total'), kind === 'counter', `${name} is a ${kind}`);
      assert.match(help, /^[A-Z01].*\.$/, `${name}: ${help}`);
    }
  });

  it('explains every label, and no other', () => {
    const used = new Set(families.flatMap(({ name }) => documentedLabels(name) ?? []));
    assert.deepEqual([...used].sort(), [...LABEL_NAMES].sort());
  });

  it('says the labels that samples have', () => {
    const stack = new Stack();
    const { outbound, listener } = stack.outbound(anUpstream(['a', 'b'], { routes: [aSafeRoute()] }));
    const { inbound } = stack.inbound(anInbound());
    stack.app(listener).call({ path: '/not.There/Method' });
    stack.run();
    const { stats, memory } = stack.context;
    stats.countHandshakeFailure('no-identity');
    const identity = { rotations: 0, isIdentityFailing: false, leafSecondsLeft: 1, leafLifetimeSeconds: 2 };
    const counts = { rejectedReloads: 0, ...identity };
    const live = metricsOf({ stats, memory, outbounds: [outbound.state], inbound: inbound.state, ...counts });
    let samples = 0;
    for (const { name, samples: each } of live) {
      for (const { labels } of each) {
        samples++;
        for (const label of Object.keys(labels))
          assert.ok(documentedLabels(name)?.includes(label), `${name} has a label ${label}`);
      }
    }
    assert.ok(samples > 40, `${samples} samples`);
    stack.close();
  });

  it('finds families in every way they are made', () => {
    const source = [
      `counter('outrider_a_total', 'One.', []), gauge(\n  'outrider_b',\n  "It's two.",\n)`,
      `{\n  kind: 'histogram',\n  name: 'outrider_c_seconds',\n  help: 'Three: \\'x\\'.',\n}`,
      `counter('outrider_a_total', 'Again.', [])`,
      `const HELP = {\n  outrider_d_total: 'Four.',\n  outrider_e:\n    "It's five.",\n};`,
    ];
    assert.deepEqual(declaredMetrics(source), [
      { kind: 'counter', name: 'outrider_a_total', help: 'One.' },
      { kind: 'gauge', name: 'outrider_b', help: "It's two." },
      { kind: 'histogram', name: 'outrider_c_seconds', help: "Three: 'x'." },
      { kind: 'counter', name: 'outrider_d_total', help: 'Four.' },
      { kind: 'gauge', name: 'outrider_e', help: "It's five." },
    ]);
  });

  it('refuses a family without a place, and a place without a family', () => {
    const more = [...families, { kind: 'gauge', name: 'outrider_new', help: 'New.' }];
    assert.throws(() => metricsReference(more), /gives no labels of outrider_new$/);
    assert.throws(() => metricsReference(families.slice(1)), /names what nothing makes: \w+$/);
  });
});
