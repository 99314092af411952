/**
 * Program: records what docs/FIRST-MESH.md tells to do, as it happens, into docs/first-mesh.svg. `npm run record`.
 * The packed program runs in an empty folder; the command lines are those of the page.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Scratch } from '../../kit/process/outrider.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { installPacked, linkDependency } from '../../kit/process/packed-package.js';
import { until } from '../../kit/process/processes.js';
import { ShellIn } from '../../kit/process/shell.js';
import { type SessionLine, terminalSvg } from './terminal-svg.js';

/** Columns; what a command prints beyond them is cut off. */
const COLUMNS = 112;
const LOOK = {
  label:
    'A mesh of four models is started and called; one model is killed and called again, and comes back by itself',
  longestWaitMs: 1500,
  restMs: 6000,
};

const page = readFileSync(join(packageRoot, 'docs/FIRST-MESH.md'), 'utf8');
const commands = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) => block!.trim().split('\n'));
const scratch = new Scratch();
const shell = new ShellIn(scratch.path);
const lines: SessionLine[] = [];
const began = performance.now();
let passedMs = 0;

function add(kind: SessionLine['kind'], text: string): void {
  lines.push({ kind, text: text.length > COLUMNS ? `${text.slice(0, COLUMNS - 1)}…` : text, atMs: passedMs });
}

/** A command of the page, and what it printed. */
async function step(command: string, run: (command: string) => Promise<string>, shown = /./): Promise<void> {
  passedMs = performance.now() - began;
  add('typed', command);
  const printed = await run(command);
  passedMs = performance.now() - began;
  for (const line of printed.split('\n')) if (line !== '' && shown.test(line)) add('printed', line);
}

try {
  await installPacked(scratch.path);
  linkDependency(scratch.path, 'onnxruntime-node');
  const [, up, infer, , kill] = commands as [string, string, string, string, string];
  const run = (command: string) => shell.run(command);
  const begin = performance.now() - began;
  passedMs = begin;
  await step(
    up,
    (command) => shell.start(command, /Ctrl-C drains and stops everything/),
    /^(service|digits|demo|call)/,
  );
  await step(infer, run);
  await step(kill, run);
  await step(infer, run);
  await until('the killed model is back', async () =>
    /"restarts":1,"pid"/.test(await run('npx outrider status --json')),
  );
  await step('npx outrider status', run, /^(sidecar|digits-)/);
  const first = lines[0]!.atMs;
  const session = lines.map((line) => ({ ...line, atMs: line.atMs - first }));
  writeFileSync(join(packageRoot, 'docs/first-mesh.svg'), terminalSvg(session, LOOK));
  for (const { kind, text } of session) process.stdout.write(`${kind === 'typed' ? '$ ' : ''}${text}\n`);
} finally {
  await shell.close();
  scratch.remove();
}
