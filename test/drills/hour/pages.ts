/** The steps of `npm run hour`, in the folder of the command line and as its user: each line as its page has it, timed. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable } from '../../../tools/markdown-table.js';
import {
  blocksOf,
  FIRST_MESH,
  IS_UP,
  OWN_MODEL,
  pageText,
  type Steps,
  shellLines,
} from '../../kit/process/page-lines.js';
import { ShellIn } from '../../kit/process/shell.js';

const home = process.argv[2]!;
const folder = join(home, 'mesh');
mkdirSync(folder);

interface Row {
  readonly page: string;
  readonly what: string;
  readonly seconds: number;
}
const rows: Row[] = [];
/** Packages come over the network. */
const INSTALL_LIMIT_MS = 600_000;

async function timed(page: string, what: string, work: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1_000;
  rows.push({ page, what, seconds });
  process.stderr.write(`${page}: ${what}: ${seconds.toFixed(1)} s\n`);
}

/** What a line does, by how it begins. */
const WHAT: Readonly<Record<string, string>> = {
  'npm install': 'install both packages',
  'npx outrider up': 'start the mesh, until it is ready',
  'npx outrider infer': 'ask the model',
  'npx outrider status': 'status',
  'kill -9': 'kill a model',
  'npx outrider init': 'take the ONNX file in',
  'npx outrider golden': 'prove it with a real input',
  'npx outrider serve': 'print its golden block',
};

/** Each line of the page; a mesh that one starts stays. */
async function follow(
  shell: ShellIn,
  name: string,
  steps: Steps,
  skipped: readonly string[] = [],
): Promise<void> {
  for (const [i, line] of shellLines(pageText(name)).entries()) {
    const [start, says] = steps[i]!;
    assert.ok(line.startsWith(start), line);
    if (skipped.includes(start)) continue;
    await timed(name, WHAT[start]!, async () => {
      if (start === 'npx outrider up') await shell.start(line, says);
      else assert.match(await shell.run(line, INSTALL_LIMIT_MS), says);
    });
  }
}

/** Runs a part with a shell of its own, and ends what it started, as Ctrl-C does. */
async function part(work: (shell: ShellIn) => Promise<void>, at = folder): Promise<void> {
  const shell = new ShellIn(at);
  try {
    await work(shell);
  } finally {
    await shell.close();
  }
}

await part(async (shell) => {
  await follow(shell, 'FIRST-MESH.md', FIRST_MESH);
  const page = pageText('clients/NODE.md');
  const [install, node] = shellLines(page);
  const own = join(home, 'client');
  mkdirSync(own);
  cpSync(join(folder, 'node_modules/outrider/proto/inference.proto'), join(own, 'inference.proto'));
  writeFileSync(join(own, 'digits.mjs'), blocksOf(page, 'js')[0]!);
  await part(async (client) => {
    await timed('clients/NODE.md', 'install grpc-js', () => client.run(install!, INSTALL_LIMIT_MS));
    await timed('clients/NODE.md', 'ask from a program of your own', async () =>
      assert.match(await client.run(node!), /^digit 7$/m),
    );
  }, own);
  await timed('TROUBLESHOOT.md', 'check', async () =>
    assert.match(await shell.run('npx outrider check'), /0 failed/),
  );
  await timed('TROUBLESHOOT.md', 'explain a reason', () => shell.run('npx outrider explain no-endpoint'));
});

await part(async (shell) => {
  const example = join(home, 'outrider/services/examples/sklearn');
  await timed('OWN-MODEL.md', 'train a model of your own (scikit-learn, with its installation)', async () => {
    await shell.run('python3 -m venv ../venv', INSTALL_LIMIT_MS);
    await shell.run(`../venv/bin/pip install -q -r ${example}/requirements.txt`, INSTALL_LIMIT_MS);
    await shell.run(`../venv/bin/python ${example}/train.py iris.onnx`, INSTALL_LIMIT_MS);
  });
  await follow(shell, 'OWN-MODEL.md', OWN_MODEL, ['npm install']);
});

await part(async (shell) => {
  const file = 'node_modules/outrider/mesh-config/consul.yaml';
  await timed('CONSUL.md', 'start it on Consul, which is brought', () =>
    shell.start(`npx outrider up --consul dev ${file}`, IS_UP),
  );
  await timed('CONSUL.md', 'check', async () =>
    assert.match(await shell.run('npx outrider check --consul'), /0 failed/),
  );
});

const total = rows.reduce((sum, { seconds }) => sum + seconds, 0);
const cells = [
  ...rows.map(({ page, what, seconds }) => [`[${page}](${page})`, what, `${seconds.toFixed(1)} s`]),
  ['', 'all commands', `${total.toFixed(0)} s`],
];
process.stdout.write(`${markdownTable([['page', 'what', 'time'], ...cells])}\n`);
