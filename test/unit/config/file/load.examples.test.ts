/** The files in mesh-config/: valid, free of warnings, and what was generated is up to date. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAnyFile, loadMeshFile } from '../../../../sidecar/config/file/load.js';
import { formatProblems } from '../../../../sidecar/config/problem.js';
import { generatedFiles } from '../../../../tools/generated-files.js';
import { packageRoot } from '../../../kit/process/package-root.js';

const folder = join(packageRoot, 'mesh-config');
const examples = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

describe('the example files', () => {
  it('are there', () => {
    for (const name of ['demo', 'resilient', 'foreign-server', 'sidecar', 'sidecar-on-consul'])
      assert.ok(examples.includes(`${name}.yaml`), name);
  });

  for (const name of examples)
    it(`${name} is valid, has no warnings and names its schema`, () => {
      const { kind, result } = loadAnyFile(join(folder, name));
      assert.ok(result.ok, result.ok ? '' : formatProblems(result.problems));
      assert.deepEqual(result.warnings, []);
      const [first] = readFileSync(join(folder, name), 'utf8').split('\n');
      assert.equal(first, `# yaml-language-server: $schema=./${kind}.schema.json`);
    });

  it('listen nowhere that Consul, Envoy, Jupyter, Prometheus or TensorFlow Serving do by default', () => {
    const taken = [8300, 8301, 8302, 8500, 8501, 8502, 8503, 8600, 8888, 9090, 9901, 10_000, 15_000];
    for (const name of examples) {
      const text = readFileSync(join(folder, name), 'utf8');
      for (const [line, port] of text.matchAll(/^\s*(?:listen|admin): \S+:(\d+)/gm))
        assert.ok(!taken.includes(Number(port)), `${name}: ${line.trim()}`);
    }
  });

  it('the demo keeps what the demo promises', () => {
    const result = loadMeshFile(join(folder, 'demo.yaml'));
    assert.ok(result.ok);
    const { services, caller } = result.config;
    assert.deepEqual(
      services.map(({ name, replicas }) => [name, replicas]),
      [
        ['digits', 3],
        ['digits-lite', 1],
      ],
    );
    const [digits, lite] = caller.upstreams;
    assert.deepEqual(
      [digits!.listen, lite!.listen, caller.admin],
      [8800, 8801, 8890].map((port) => ({ kind: 'tcp', host: '127.0.0.1', port })),
    );
    const [infer] = digits!.routes;
    assert.ok(infer!.idempotent && infer!.retry !== undefined);
    assert.ok(
      infer!.retry.attempts * infer!.attemptTimeoutMs < infer!.timeoutMs,
      'every attempt fits into the call',
    );
    for (const { server } of services) {
      assert.ok(server.kind === 'models');
      assert.ok(existsSync(join(server.dir, 'digits/1/model.onnx')), server.dir);
    }
  });
});

describe('the example of everything', () => {
  it('shows each decision once', () => {
    const result = loadMeshFile(join(folder, 'resilient.yaml'));
    assert.ok(result.ok);
    const { services, caller, accessLog, faultInjection } = result.config;
    const [digits] = services;
    const [upstream] = caller.upstreams;
    const [route] = upstream!.routes;
    const { queue } = digits!;
    const { health, breaker, slowStart, locality, ejection } = upstream!;
    const { outcomes, retry, hedge, fallback, split, mirror, maxTimeoutMs } = route!;
    const shown = {
      ...{ accessLog, faultInjection, adaptive: queue.adaptive, priority: queue.priority, fair: queue.fair },
      ...{ rateLimits: digits!.rateLimits, health, breaker, slowStart, locality },
      ...{
        outcomes,
        retry,
        hedge,
        fallback,
        split,
        mirror,
        maxTimeoutMs,
        match: split?.match[0],
        stickyBy: split?.stickyBy,
      },
    };
    for (const [what, said] of Object.entries(shown)) assert.ok(said !== undefined && said !== false, what);
    assert.deepEqual(fallback!.map(({ kind }) => kind).sort(), ['last-good', 'upstream']);
    assert.ok(Object.values(ejection.detectors!).every(({ mode }) => mode !== 'off'));
    assert.ok(retry!.attempts * route!.attemptTimeoutMs < route!.timeoutMs, 'the fallback has time left');
  });
});

describe('the generated files', () => {
  for (const { name, content } of generatedFiles())
    it(`${name} is up to date (npm run generate)`, () =>
      assert.ok(
        readFileSync(join(folder, name), 'utf8') === content,
        `${name} differs from what the declarations say`,
      ));

  it('explain every option: what it means and why it has that default', () => {
    const reference = generatedFiles().find(({ name }) => name === 'REFERENCE.md')!.content;
    const rows = reference.split('\n').filter((line) => line.startsWith('| `'));
    assert.ok(rows.length > 60, `${rows.length} options`);
    for (const row of rows) {
      const cells = row
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim());
      assert.equal(cells.length, 5, row);
      assert.ok(
        cells.every((cell) => cell !== ''),
        row,
      );
    }
  });

  it('are what SchemaStore asks for: draft 7, an address, a title and a description', () => {
    for (const kind of ['mesh', 'sidecar', 'model']) {
      const file = generatedFiles().find(({ name }) => name === `${kind}.schema.json`);
      const { $schema, $id, title, description } = JSON.parse(file!.content);
      const head = {
        $schema: 'http://json-schema.org/draft-07/schema#',
        $id: `https://json.schemastore.org/outrider-${kind}.json`,
      };
      assert.deepEqual({ $schema, $id }, head);
      assert.ok(/^Outrider /.test(title) && description.length > 20);
    }
  });

  it('describe every option of the JSON Schemas, and refuse unknown ones', () => {
    for (const { name, content } of generatedFiles().filter(({ name }) => name.endsWith('.schema.json'))) {
      let blocks = 0;
      const check = (node: unknown, path: string): void => {
        if (typeof node !== 'object' || node === null) return;
        const { properties, additionalProperties } = node as {
          properties?: Record<string, { description?: string }>;
          additionalProperties?: unknown;
        };
        if (properties !== undefined && !path.endsWith('.properties')) {
          blocks += 1;
          assert.equal(additionalProperties, false, path);
          for (const [key, option] of Object.entries(properties))
            assert.ok((option.description ?? '').length > 10, `${path}.${key}`);
        }
        for (const [key, inner] of Object.entries(node)) check(inner, `${path}.${key}`);
      };
      check(JSON.parse(content), name);
      assert.ok(blocks > 3, `${name} has ${blocks} blocks`);
    }
  });
});
