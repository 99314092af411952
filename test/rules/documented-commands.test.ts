/**
 * Command lines of the documents: the parser of their own program takes each, and each page that shows some says which test
 * runs them.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { USAGE as BENCH_USAGE, readOptions as readBench } from '../bench/options.js';
import { readOptions as readEngines } from '../drills/engines/options.js';
import { readOptions as readFaults } from '../drills/faults/options.js';
import { packageRoot } from '../kit/process/package-root.js';
import { type Form, refusalOf, type ScriptReaders, shellWords } from '../kit/source-tree/command-parsers.js';
import { readMarkdown } from '../kit/source-tree/document.js';
import { none } from '../kit/source-tree/rules.js';
import { filesBelow, read } from '../kit/source-tree/source-file.js';

const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md'],
  ...['docs', 'mesh-config', 'services'].flatMap((folder) => filesBelow(folder, /\.md$/)),
].map((path) => readMarkdown(path, read(path)));

/** `outrider chaos --runs N`, `npm run bench -- relay …`; `outrider infer: UNAVAILABLE` is what a command printed. */
const hasPlaceholder = (text: string): boolean =>
  /(^|\s)(\[|[A-Z][A-Z_=|]*(\s|$))|…|^outrider \w+:/.test(text);

/** Suites of `npm run faults`; which rows they have is not looked at. */
const FAULT_SUITES = { calls: [], consul: [], decisions: [], toxics: [] };

const SCRIPTS: ScriptReaders = {
  bench: (args) => {
    const { command } = readBench(args);
    const isKnown = new RegExp(`(?:bench -- |\\| )${command}\\b`).test(BENCH_USAGE);
    if (!isKnown) throw new Error(`there is no benchmark "${command}"`);
  },
  engines: (args) => readEngines(args),
  faults: (args) => readFaults(args, FAULT_SUITES),
};

const refusal = (line: string, form: Form): string | undefined => refusalOf(line, form, SCRIPTS);

/** Run as they stand by that test, which names the page; a line that it does not run is in a list of its own there. */
const RUN_BY: Readonly<Record<string, string>> = {
  'README.md': 'test/e2e/readme.test.ts',
  'docs/AUDIT.md': 'test/e2e/task-pages.test.ts',
  'docs/CONFIGURE.md': 'test/e2e/readme.test.ts',
  'docs/CONSUL.md': 'test/stack/discovery/intentions.test.ts',
  'docs/DEBUGGING.md': 'test/e2e/task-pages.test.ts',
  'docs/FIRST-MESH.md': 'test/e2e/package.test.ts',
  'docs/IDENTITY.md': 'test/e2e/readme.test.ts',
  'docs/OBSERVE.md': 'test/e2e/task-pages.test.ts',
  'docs/OPERATE.md': 'test/e2e/task-pages.test.ts',
  'docs/OWN-MODEL.md': 'test/e2e/package.test.ts',
  'docs/OWN-SERVER.md': 'test/e2e/own-server.test.ts',
  'docs/PERFORMANCE.md': 'test/e2e/task-pages.test.ts',
  'docs/TROUBLESHOOT.md': 'test/e2e/task-pages.test.ts',
  'docs/clients/COMMAND-LINE.md': 'test/interop/clients/clients-page.test.ts',
  'docs/clients/GO.md': 'test/interop/clients/clients-page.test.ts',
  'docs/clients/JAVA.md': 'test/interop/clients/clients-page.test.ts',
  'docs/clients/NODE.md': 'test/interop/clients/clients-page.test.ts',
  'docs/clients/PYTHON.md': 'test/interop/clients/clients-page.test.ts',
  'mesh-config/CERTIFICATES.md': 'test/e2e/examples.test.ts',
  'services/examples/python-grpcio/README.md': 'test/e2e/python-examples.test.ts',
  'services/examples/sklearn/README.md': 'test/e2e/python-examples.test.ts',
};

/** Judged by the parsers here, and by what is named. */
const ONLY_READ: Readonly<Record<string, string>> = {
  'CONTRIBUTING.md': 'a build and a measurement',
  'docs/CHAOS.md': 'minutes; test/e2e/chaos.test.ts holds drills',
  'docs/DEPLOY.md': 'Podman, Kubernetes, three machines: test/deploy and .ci/nightly',
  'docs/ENGINES.md': 'seconds of answers; test/e2e/up/engines.test.ts kills engines of a mesh of its own',
  'docs/ROLLOUT.md': 'test/e2e/sidecar/rollout.test.ts gives the same commands to a rollout of its own',
  'docs/SIMULATION.md': 'minutes; test/simulation/simulation.test.ts runs the program',
  'docs/TESTING.md': 'these tests',
  'docs/UPGRADE.md': 'test/e2e/sidecar/takeover.test.ts',
  'mesh-config/MODEL.md': 'docs/OWN-MODEL.md has the same steps',
  'services/openai/README.md': 'test/interop/openai-service.test.ts gives the same commands',
};

describe('the command lines of the documents', () => {
  for (const { path, typed, commands } of documents)
    it(`${path} has only those that their programs take`, () => {
      const shown = new Set(typed.map(({ text }) => text));
      const wrong = commands
        .filter(({ text }) => shown.has(text) || !hasPlaceholder(text))
        .map(({ text, line }) => ({ text, line, why: refusal(text, shown.has(text) ? 'typed' : 'named') }));
      none(wrong.filter(({ why }) => why !== undefined).map(({ line, why }) => `${path}:${line}: ${why}`));
    });

  it('are run by a test, or the page says why not', () => {
    const pages = documents.map(({ path }) => path).filter((path) => /^ *```sh$/m.test(read(path)));
    assert.deepEqual([...Object.keys(RUN_BY), ...Object.keys(ONLY_READ)].sort(), pages.sort());
  });

  for (const [page, test] of Object.entries(RUN_BY))
    it(`${page} is named by ${test}`, () => {
      assert.ok(existsSync(join(packageRoot, test)), test);
      const name = page.startsWith('docs/clients/') ? 'docs/clients' : basename(page);
      const folder = page.startsWith('services/examples/') ? page.split('/')[2]! : name;
      assert.ok(read(test).includes(folder), `${test} does not name ${folder}`);
    });
});

describe('the parsers of documented commands', () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['npx outrider up a.yaml b.yaml', /too many arguments/],
    ['outrider up --consul prod', /choices|allowed/i],
    ['outrider sidecar', /required option/],
    ['outrider audit verify', /missing required argument/],
    ['outrider chaos kil', /no scenario kil; did you mean kill/],
    ['outrider chaos kill --setups outrider,envoi', /no setup envoi/],
    ['outrider chaos kill --runs many', /--runs many/],
    ['outrider tap sloww=1s', /did you mean slow/],
    ['outrider explain no-endpiont', /nothing is known/],
    ['npm run bench -- relais', /no benchmark "relais"/],
    ['npm run bench -- relay --only idel', /--only: found idel/],
    ['npm run engines -- --kils 3', /Unknown option '--kils'/],
    ['npm run faults -- network', /expected a suite/],
  ];
  for (const [line, why] of refused)
    it(`refuse ${line}`, () => assert.match(refusal(line, 'typed') ?? 'taken', why));

  it('take what is right, and a text that names a command without its arguments', () => {
    for (const line of [
      'outrider up',
      'outrider --version',
      'outrider help check',
      "npx outrider infer digits --input 'x=[1, 2]' > answer.txt",
      'outrider sidecar -c a.yaml -- python3 serve.py --port 1',
      'npm run bench -- relay --quick',
      'npm run faults -- consul',
      'npm test',
    ])
      assert.equal(refusal(line, 'typed'), undefined, line);
    assert.equal(refusal('outrider infer', 'named'), undefined);
    assert.match(refusal('outrider infer --colour', 'named')!, /unknown option/);
  });

  it('read words as a shell does', () =>
    assert.deepEqual(shellWords(`a 'b c' --d="e f" $(g h) >i j`), ['a', 'b c', '--d=e f', '$(g', 'h)']));
});
