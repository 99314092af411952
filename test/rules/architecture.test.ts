/**
 * The layout of the design as a test: which file may import which, where vendors and ambient things may be touched.
 */
import assert from 'node:assert/strict';
import { CallEvent, type EventName, TRANSITIONS } from '../../sidecar/relay/call-phase.js';
import { LAYER_RULES, ROOT_EDGES, ROOT_IMPORTS } from '../kit/source-tree/import-rules.js';
import {
  type AmbientException,
  hasNoCycles,
  hasNoDefaultExports,
  hasNoMutualFolders,
  importsAllowedRoots,
  importsDownwards,
  importsNothingAcross,
  importsOnlyItself,
  importsVendorsInOnePlace,
  importsWhatExists,
  longFiles,
  none,
  unusedExceptions,
  unusedVendors,
  usesAmbientThingsOnlyIn,
  type VendorTable,
} from '../kit/source-tree/rules.js';
import { COMPUTED, ROOTS, read, readSourceFile, readTree, treeOf } from '../kit/source-tree/source-file.js';

const VENDORS: VendorTable = {
  // `outrider serve` starts the model service, a program of its own, by its path, as a shell would; so does a model of a drill.
  [COMPUTED]: [
    'sidecar/main.ts',
    'sidecar/cli/serve.ts',
    'sidecar/cli/chaos/models/digits.ts',
    'services/model-server/code/load-code.ts',
  ],
  '@bufbuild/protobuf': ['sidecar/codec/protobuf.ts'],
  '@grpc/grpc-js': [
    'services/engine/',
    'services/model-server/',
    'sidecar/cli/infer/client.ts',
    'sidecar/cli/chaos/',
  ],
  '@grpc/proto-loader': ['proto/load.ts', 'proto/reflection.ts', 'proto/vllm-service.ts'],
  '@peculiar/x509': ['sidecar/identity/ca/certificate-builder.ts'],
  commander: [
    'sidecar/cli/chaos/commands.ts',
    'sidecar/cli/deploy/commands.ts',
    'sidecar/cli/help/command-help.ts',
    'sidecar/cli/operator-commands.ts',
    'sidecar/cli/program.ts',
    'sidecar/cli/rollout/commands.ts',
  ],
  consul: ['sidecar/discovery/consul/client/client.ts'],
  'onnx-proto': ['services/onnx/graph.ts'],
  esbuild: ['tools/bundle.ts', 'tools/one-language.ts', 'tools/inline-parsers.ts', 'tools/pack/squeeze.ts'],
  'onnxruntime-node': ['services/model-server/network/session.ts'],
  pino: ['sidecar/runtime/log/logger.ts'],
  pngjs: ['sidecar/cli/infer/image.ts'],
  'prom-client': ['sidecar/admin/exposition.ts'],
  re2js: ['sidecar/discovery/re2-pattern.ts'],
  'reflect-metadata': ['sidecar/identity/ca/certificate-builder.ts'],
  uplot: ['sidecar/admin/browser/charts.ts'],
  yaml: [
    'sidecar/cli/deploy/kubernetes-yaml.ts',
    'services/fetch/card.ts',
    'services/model-server/authoring/renewed-card.ts',
    'services/model-server/models/parsers.ts',
    'sidecar/config/',
    'tools/observe/rules-file.ts',
  ],
  zod: ['services/model-server/models/parsers.ts', 'sidecar/config/', 'tools/'],
};

/** The OpenAI service is a package of its own, with dependencies of its own. */
const OPENAI = 'services/openai/';
const OPENAI_VENDORS: VendorTable = {
  '@grpc/grpc-js': ['services/openai/engine/engine-client.ts', 'services/openai/http/grpc-health.ts'],
  '@grpc/proto-loader': ['services/openai/engine/'],
  '@huggingface/jinja': ['services/openai/tokenizer/worker.ts'],
  '@huggingface/tokenizers': ['services/openai/tokenizer/worker.ts'],
  fastify: ['services/openai/http/'],
  'prom-client': ['services/openai/http/metrics.ts'],
};

/** Clocks, chance, timers, the process and its console: the rest of the sidecar gets them passed in. What runs in a browser has that one's. */
const AMBIENT_PLACES = ['sidecar/runtime/', 'sidecar/main.ts', 'sidecar/cli/', 'sidecar/admin/browser/'];
const AMBIENT_EXCEPTIONS: readonly AmbientException[] = [
  {
    file: 'sidecar/supervise/child-process.ts',
    names: ['process', 'setImmediate'],
    because: 'It is the one file that starts and signals processes of the operating system.',
  },
];

/** Where a socket is read, or memory is made for the bytes of one writer (http2/owned-buffer.ts). */
const OWNER_FILES: readonly string[] = [
  'sidecar/http2/frame-reader.ts',
  'sidecar/http2/owned-buffer.ts',
  'sidecar/http2/write-buffer.ts',
  'sidecar/transport/session.ts',
  'sidecar/transport/shared-read-buffer.ts',
];

/** A habit, not a law: files beyond it are reported. */
const LONG_FILE = 250;
/** Beyond this a file is certainly more than one idea. */
const TOO_LONG_FILE = 650;

const files = readTree();
const openAiFiles = files.filter(({ path }) => path.startsWith(OPENAI));
const rootFiles = files.filter(({ path }) => !path.startsWith(OPENAI));

describe('the architecture', () => {
  it('is read from the sources', () => {
    const roots = new Set(files.map(({ path }) => path.split('/')[0]));
    assert.deepEqual([...roots].sort(), [...ROOTS].sort());
    assert.ok(files.flatMap(({ imports }) => imports).length > files.length);
  });

  it('has every file that is imported', () => none(importsWhatExists(files)));
  it('keeps decisions to themselves: core/ imports only core/', () =>
    none(importsOnlyItself(files, 'sidecar/core/')));
  it('keeps the protocol engine to itself: http2/ imports only http2/', () =>
    none(importsOnlyItself(files, 'sidecar/http2/')));
  it('lets a file of sidecar/ import only from the layers below its own', () =>
    none(importsDownwards(files, LAYER_RULES)));
  it('lets a root import another only where the import rules say so', () =>
    none(importsAllowedRoots(files, ROOT_IMPORTS, ROOT_EDGES)));
  it('has no two folders that import each other', () => none(hasNoMutualFolders(files)));
  it('touches each vendor in one place', () => none(importsVendorsInOnePlace(rootFiles, VENDORS)));
  it('lists no vendor that is not used', () => none(unusedVendors(rootFiles, VENDORS)));
  it('has a package of its own for the OpenAI service: neither imports the other', () =>
    none(importsNothingAcross(files, OPENAI)));
  it('touches each vendor of the OpenAI service in one place, and lists none that is not used', () =>
    none([
      ...importsVendorsInOnePlace(openAiFiles, OPENAI_VENDORS),
      ...unusedVendors(openAiFiles, OPENAI_VENDORS),
    ]));
  it('reads clocks, chance and the process only at its edge', () =>
    none(usesAmbientThingsOnlyIn(files, AMBIENT_PLACES, AMBIENT_EXCEPTIONS)));
  it('has no exception that is not needed', () => none(unusedExceptions(files, AMBIENT_EXCEPTIONS)));
  it('owns a buffer only where it is read or made: nothing else may turn a shared buffer into an owned one', () =>
    none(
      files
        .filter(({ path }) => /^(sidecar|services|proto)\//.test(path) && !OWNER_FILES.includes(path))
        .filter(({ path }) => read(path).includes('ownBuffer'))
        .map(({ path }) => `${path} calls ownBuffer`),
    ));
  it('prints the phases of a call in docs/ARCHITECTURE.md as the code has them', () => {
    const head = ['phase', ...Object.keys(CallEvent)];
    const rows = Object.entries(TRANSITIONS).map(([phase, events]) => [
      phase,
      ...Object.keys(CallEvent).map((event) => events[event as EventName] ?? '–'),
    ]);
    const printed = read('docs/ARCHITECTURE.md')
      .split('\n')
      .filter((line) =>
        /^\| (phase|waiting|trying|hedged|closed|answering|between|resuming|ended) /.test(line),
      );
    const cells = printed.map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    assert.deepEqual(cells, [head, ...rows]);
  });
  it('has no default exports', () => {
    // Mocha asks its reporter for one.
    none(hasNoDefaultExports(files.filter(({ path }) => path !== 'test/kit/mocha/reporter.ts')));
  });
  it('has no files that import each other', () => none(hasNoCycles(files)));
  it('has no barrels: no file is called index.ts', () =>
    none(files.filter(({ path }) => path.endsWith('/index.ts')).map(({ path }) => path)));
  it('has files of one idea each', function () {
    const long = longFiles(files, LONG_FILE);
    const first = long.slice(0, 5).join(', ');
    if (long.length > 0) this.test!.title += ` (${long.length} over ${LONG_FILE} lines: ${first} …)`;
    none(longFiles(files, TOO_LONG_FILE));
  });

  it('depends on the packages it imports, and on no others', () => {
    const { dependencies, optionalDependencies } = JSON.parse(read('package.json'));
    // Only needed to make models and the build; and what is no package.
    const others = ['onnx-proto', 'esbuild', COMPUTED];
    const expected = Object.keys(VENDORS).filter((name) => !others.includes(name));
    assert.deepEqual(Object.keys({ ...dependencies, ...optionalDependencies }).sort(), expected.sort());
  });

  it('has an OpenAI service that depends on the packages it imports, and a lockfile without the address of a registry', () => {
    const { dependencies } = JSON.parse(read(`${OPENAI}package.json`));
    assert.deepEqual(Object.keys(dependencies).sort(), Object.keys(OPENAI_VENDORS).sort());
    assert.ok(!read(`${OPENAI}package-lock.json`).includes('"resolved"'));
  });
});

/** Keeps `${` out of sources that stand in strings here. */
const DOLLAR = '$';

describe('the architecture test, on a tree that breaks the rules', () => {
  const imports = (source: string): string[] =>
    readSourceFile('sidecar/x/a.ts', source).imports.map(({ target }) => target);

  it('sees every way to import', () => {
    const ways = [
      [`import a from './a1.js';`, 'sidecar/x/a1.ts'],
      [`import type { B } from '../b/b1.js';`, 'sidecar/b/b1.ts'],
      [`import * as c from 'c1';`, 'c1'],
      [`import d, { type E as F } from "d1";`, 'd1'],
      [`import {\n  g, // from 'not-this'\n  h,\n} from 'g1';`, 'g1'],
      [`import 'i1';`, 'i1'],
      [`export { j } from 'j1';`, 'j1'],
      [`export type { K } from 'k1';`, 'k1'],
      [`export * from 'l1';`, 'l1'],
      [`export * as m from 'm1';`, 'm1'],
      [`const n = await import('n1');`, 'n1'],
      [`type O = import('o1').O;`, 'o1'],
      [`const p = require('p1');`, 'p1'],
    ];
    const source = ways.map(([way]) => way).join('\n');
    assert.deepEqual(
      imports(source),
      ways.map(([, target]) => target),
    );
  });

  it('does not take for an import what only looks like one', () => {
    const source = [
      `// import a from 'a';`,
      `/* import b from 'b';\n import c from 'c'; */`,
      `const d = "import e from 'e'";`,
      `const f = \`import g from 'g' ${DOLLAR}{h("import i from 'i'")} import j from 'j'\`;`,
      `const k = /import l from 'l'/;`,
      `x.import('m');`,
      `const url = import.meta.url;`,
      `export const from = 'n';`,
      `export { o };\nconst q = 'q';`,
      `export function from2() { return from; }`,
    ];
    assert.deepEqual(imports(source.join('\n')), []);
  });

  it('sees an import inside a template and after a pattern or a division', () => {
    const template = `const a = \`${DOLLAR}{await import('b')} ${DOLLAR}{\`${DOLLAR}{{ c: 1 }.c}\`}\`; import 'd';`;
    assert.deepEqual(imports(template), ['b', 'd']);
    assert.deepEqual(imports(`const a = b / c; import 'd'; const e = f / g;`), ['d']);
    assert.deepEqual(imports(`if (x) y = /[/'"]\\//; import 'd';`), ['d']);
    assert.deepEqual(imports(`const n = (1) / 2; const s = 'a'; import 'd';`), ['d']);
  });

  it('says that an import of a computed path cannot be judged', () => {
    assert.deepEqual(imports('await import(path);'), ['a computed path']);
  });

  it('complains when core/ imports anything else, Node included', () => {
    const files = treeOf({
      'sidecar/core/a.ts': `import './b.js';\nimport type { X } from '../relay/x.js';\nimport 'node:fs';\nimport { z } from 'zod';`,
    });
    assert.deepEqual(importsOnlyItself(files, 'sidecar/core/'), [
      'sidecar/core/a.ts:2: imports sidecar/relay/x.ts; sidecar/core/ imports only sidecar/core/',
      'sidecar/core/a.ts:3: imports node:fs; sidecar/core/ imports only sidecar/core/',
      'sidecar/core/a.ts:4: imports zod; sidecar/core/ imports only sidecar/core/',
    ]);
  });

  it('complains when an import points upwards, sideways or into a foundation that is closed to it', () => {
    const files = treeOf({
      'sidecar/relay/a.ts': `import '../transport/t.js';\nimport '../cluster/c.js';\nimport '../discovery/d.js';\nimport '../core/o.js';`,
      'sidecar/outbound.ts': `import './outbound/o.js';\nimport './cluster/c.js';\nimport './admin/v.js';`,
      'sidecar/config/a.ts': `import '../core/a.js';\nimport '../runtime/r.js';`,
      'sidecar/telemetry/a.ts': `import '../http2/h.js';\nimport '../config/c.js';`,
      'sidecar/elsewhere/a.ts': '',
    });
    assert.deepEqual(importsDownwards(files, LAYER_RULES), [
      'sidecar/elsewhere/a.ts: its folder stands in no row of the import rules',
      'sidecar/relay/a.ts:2: imports sidecar/cluster/c.ts; relay must not import cluster',
      'sidecar/relay/a.ts:3: imports sidecar/discovery/d.ts; relay must not import discovery',
      'sidecar/outbound.ts:3: imports sidecar/admin/v.ts; outbound must not import admin',
      'sidecar/config/a.ts:2: imports sidecar/runtime/r.ts; config must not import runtime',
      'sidecar/telemetry/a.ts:2: imports sidecar/config/c.ts; telemetry must not import config',
    ]);
  });

  it('complains when services and sidecar meet elsewhere than they may, or production code imports a test', () => {
    const files = treeOf({
      'services/a.ts': `import type { X } from '../sidecar/x.js';`,
      'services/b/a.ts': `import '../../sidecar/y/a.js';\nimport '../../sidecar/x.js';`,
      'proto/a.ts': `import '../sidecar/y/a.js';`,
      'sidecar/x.ts': `export * from '../services/a.js';\nimport '../test/kit/k.js';\nimport '../proto/p.js';`,
    });
    const edges = {
      'sidecar proto': { importers: ['sidecar/codec/'] },
      'services sidecar': { importers: ['services/b/'], imported: ['sidecar/y/'] },
    };
    assert.deepEqual(importsAllowedRoots(files, ROOT_IMPORTS, edges), [
      'services/a.ts:1: imports sidecar/x.ts; only services/b/ may',
      'services/b/a.ts:2: imports sidecar/x.ts; of sidecar/ it may import sidecar/y/',
      'proto/a.ts:1: imports sidecar/y/a.ts; proto/ must not import sidecar/',
      'sidecar/x.ts:1: imports services/a.ts; sidecar/ must not import services/',
      'sidecar/x.ts:2: imports test/kit/k.ts; sidecar/ must not import test/',
      'sidecar/x.ts:3: imports proto/p.ts; only sidecar/codec/ may',
    ]);
  });

  it('complains about an import into a package of its own, or out of it, except in tests', () => {
    const files = treeOf({
      'services/p/a.ts': `import './b.js';\nimport '../../proto/x.js';\nimport 'zod';`,
      'services/c.ts': `import './p/a.js';`,
      'test/unit/a.test.ts': `import '../../services/p/a.js';`,
    });
    assert.deepEqual(importsNothingAcross(files, 'services/p/'), [
      'services/p/a.ts:2: imports proto/x.ts; services/p/ is a package of its own',
      'services/c.ts:1: imports services/p/a.ts; services/p/ is a package of its own',
    ]);
  });

  it('complains about two folders whose files import each other, and not about a folder and its own subfolder', () => {
    const files = treeOf({
      'a/b/one.ts': `import '../c/d/two.js';`,
      'a/c/three.ts': `import '../b/four.js';\nimport './d/two.js';`,
      'a/c/d/two.ts': `import '../three.js';`,
    });
    assert.deepEqual(hasNoMutualFolders(files), [
      'a/b and a/c import each other: a/b/one.ts imports a/c/d/two.ts, a/c/three.ts imports a/b/four.ts',
    ]);
  });

  it('complains about a vendor in a second place, about an unknown one, and about a row that is not needed', () => {
    const table = { zod: ['sidecar/config/'], '@scope/p': ['sidecar/a.ts'], yaml: ['sidecar/config/y.ts'] };
    const files = treeOf({
      'sidecar/config/z.ts': `import { z } from 'zod/v4';`,
      'sidecar/a.ts': `import { z } from 'zod';\nimport '@scope/p/deep';\nimport 'left-pad';`,
      'test/a.test.ts': `import 'left-pad';`,
    });
    assert.deepEqual(importsVendorsInOnePlace(files, table), [
      'sidecar/a.ts:1: imports zod; only sidecar/config/ may',
      'sidecar/a.ts:3: imports left-pad; it is not in the table of packages',
    ]);
    assert.deepEqual(unusedVendors(files, table), [
      'the table says that sidecar/config/y.ts imports yaml, and it does not',
    ]);
  });

  it('complains about an import of nothing', () => {
    assert.deepEqual(importsWhatExists(treeOf({ 'test/a.ts': `import './gone.js';` })), [
      'test/a.ts:1: imports test/gone.ts, which is not there',
    ]);
  });

  it('complains about files that import each other, even through types alone', () => {
    const files = treeOf({
      'sidecar/a.ts': `import type { B } from './b.js';`,
      'sidecar/b.ts': `export type { C } from './c.js';`,
      'sidecar/c.ts': `import { a } from './a.js';`,
      'sidecar/d.ts': `import './d.js';`,
      'sidecar/e.ts': `import './a.js';\nimport './b.js';`,
    });
    assert.deepEqual(hasNoCycles(files), [
      'sidecar/a.ts → sidecar/b.ts → sidecar/c.ts → sidecar/a.ts: files that import each other',
      'sidecar/d.ts → sidecar/d.ts: files that import each other',
    ]);
  });

  it('does not take a diamond for a circle', () => {
    const files = treeOf({
      'a.ts': `import './b.js';\nimport './c.js';`,
      'b.ts': `import './d.js';`,
      'c.ts': `import './d.js';`,
      'd.ts': '',
    });
    assert.deepEqual(hasNoCycles(files), []);
  });

  it('complains about default exports in both spellings', () => {
    const files = treeOf({
      'a.ts': 'export default 5;',
      'b.ts': 'const x = 1;\nexport { x as default };',
      'c.ts': 'import { x as default2 } from "y"; switch (a) { default: }',
    });
    const places = hasNoDefaultExports(files).map((line) => line.split(': ')[0]);
    assert.deepEqual(places, ['a.ts:1', 'b.ts:2']);
  });

  const ambient = (source: string): string[] =>
    readSourceFile('sidecar/x.ts', source).ambient.map(({ name }) => name);

  for (const [source, names] of [
    ['const now = Date.now();', ['Date.now']],
    ['const now = new Date();', ['Date()']],
    ['const now = new Date;', ['Date()']],
    ['const now = Date();', ['Date()']],
    ['performance.now();', ['performance']],
    [
      'setTimeout(f, 1); setInterval(f, 1); setImmediate(f); queueMicrotask(f);',
      ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
    ],
    ['const later = setTimeout;', ['setTimeout']],
    ['globalThis.x = a ? process : b;', ['process']],
    ['const r = Math.random();', ['Math.random']],
    ['process.exit(1); f(process); ({ process });', ['process', 'process', 'process']],
    ['console.log("x");', ['console']],
    [`const s = \`${DOLLAR}{process.pid} ${DOLLAR}{Date.now()}\`;`, ['process', 'Date.now']],
    [`import { performance as p } from 'node:perf_hooks';`, ['performance', 'node:perf_hooks']],
    [`import { setTimeout as sleep } from 'node:timers/promises';`, ['setTimeout', 'node:timers/promises']],
    [`import p from 'node:process';`, ['node:process']],
  ] as const) {
    it(`sees ${names.join(', ')} in ${source}`, () => assert.deepEqual(ambient(source), names));
  }

  for (const source of [
    'const at = new Date(ms).toISOString(); Date.parse(text); Date.UTC(1, 2);',
    'let date: Date;',
    'socket.setTimeout(5); deps.timers?.setTimeout(5); this.process.kill();',
    'interface A { process: B; readonly console?: C }',
    'const a = { process: b, performance: c };',
    'const process = start(); process.signal("SIGTERM");',
    'function stop(process: Running) { process.kill(); }',
    '// Date.now() and process.exit()\nconst a = "console.log";',
    'const Mathematics = Math.max(1, 2);',
  ]) {
    it(`sees nothing ambient in ${source}`, () => assert.deepEqual(ambient(source), []));
  }

  it('complains about ambient things outside their places, unless excused', () => {
    const files = treeOf({
      'sidecar/relay/a.ts': 'Date.now();\nprocess.exit();',
      'sidecar/runtime/b.ts': 'Date.now();',
      'sidecar/cli/c.ts': 'process.exit();',
      'sidecar/main.ts': 'console.log();',
      'sidecar/supervise/d.ts': 'process.kill(1);\nconsole.log();',
      'services/e.ts': 'Date.now();',
    });
    const excuses = [{ file: 'sidecar/supervise/d.ts', names: ['process', 'Date.now'], because: 'it must' }];
    const places = ['sidecar/runtime/', 'sidecar/cli/', 'sidecar/main.ts'];
    const complaints = usesAmbientThingsOnlyIn(files, places, excuses).map((line) => line.split(';')[0]);
    assert.deepEqual(complaints, [
      'sidecar/relay/a.ts:1: uses Date.now',
      'sidecar/relay/a.ts:2: uses process',
      'sidecar/supervise/d.ts:2: uses console',
    ]);
    assert.deepEqual(unusedExceptions(files, excuses), [
      'sidecar/supervise/d.ts is excused for Date.now, and does not use it',
    ]);
  });

  it('reports long files, the longest first', () => {
    const files = treeOf({ 'a.ts': 'x\n'.repeat(3), 'b.ts': 'x\n'.repeat(5), 'c.ts': 'x\n'.repeat(2) });
    assert.deepEqual(longFiles(files, 2), ['b.ts: 5 lines', 'a.ts: 3 lines']);
  });
});
