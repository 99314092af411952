/**
 * Program: runs test files as its parent names them over IPC, one set after the other, each in a run of mocha of its own with the settings of
 * `.mocharc.json`. What the files import is loaded once. Ends with its parent's channel, unless a test has left something that runs.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Mocha from 'mocha';
import { packageRoot } from '../process/package-root.js';
import ClosingLine from './reporter.js';

/** What the parent asks for: compiled files, and where their results go. */
export interface Work {
  readonly files: readonly string[];
  readonly report: string;
  readonly color: boolean;
}

/** What it is told once they have ended, whatever came of them. */
export interface Done {
  /** Why they did not run; undefined when they did. */
  readonly fault: string | undefined;
}

const settings: Readonly<{ require: readonly string[]; timeout: number; forbidOnly: boolean }> = JSON.parse(
  readFileSync(join(packageRoot, '.mocharc.json'), 'utf8'),
);

async function rootHooks(): Promise<Mocha.RootHookObject[]> {
  const required = settings.require.map((file) => import(new URL(file, `file://${packageRoot}/`).href));
  return (await Promise.all(required)).flatMap(({ mochaHooks = [] }) => mochaHooks);
}

async function run({ files, report, color }: Work): Promise<void> {
  const { timeout, forbidOnly } = settings;
  const reporting = { reporter: ClosingLine, reporterOptions: { report } };
  const mocha = new Mocha({ timeout, forbidOnly, color, ...reporting });
  for (const hooks of await hooksOnce) mocha.rootHooks(hooks);
  for (const file of files) mocha.addFile(join(packageRoot, file));
  await mocha.loadFilesAsync();
  await new Promise<void>((resolve) => mocha.run(() => resolve()));
  // Its listeners of the process would see what later runs throw.
  mocha.dispose();
}

const hooksOnce = rootHooks();
process.on('message', (work: Work) => {
  run(work)
    .then(() => undefined)
    .catch((error: unknown) => {
      console.error(error);
      return `could not be run: ${error}`;
    })
    .then((fault) => process.send?.({ fault } satisfies Done));
});

/** Its end is waited for a little longer than that, and fails the run after it. */
const SAYS_AFTER_MS = 5_000;
process.on('disconnect', () => {
  const say = (): void => {
    const handles = (process as { _getActiveHandles?(): object[] })._getActiveHandles?.() ?? [];
    const kinds = handles.map((handle) => describeHandle(handle));
    console.error(`it still has: ${[...process.getActiveResourcesInfo(), ...kinds].join(', ')}`);
  };
  setTimeout(say, SAYS_AFTER_MS).unref();
});

/** A handle with what tells it from others: a process, a socket, a server. */
function describeHandle(handle: object): string {
  const { spawnargs, remotePort, localPort } = handle as Readonly<Record<string, unknown>>;
  const address = (handle as { address?(): unknown }).address?.();
  const details = { spawnargs, remotePort, localPort, address };
  return `${handle.constructor.name} ${JSON.stringify(details)}`;
}
