/** Consul's UI as a person reads it, on a mesh that `outrider up --consul dev` runs: pages, their rows and their marks. */

import { DIGITS_MODELS, type Mesh, type SidecarFacts, type UpFacts } from '../process/outrider.js';
import { isRunning, isStopped, until } from '../process/processes.js';
import type { TestPage } from './browser.js';

export type UiFacts = UpFacts & { readonly consul: { readonly address: string; readonly ui: string } };

/** Two replicas and their caller, with a tag and metadata of the operator's own. */
export const MESH_FILE = `
observe: 127.0.0.1:0
fault_injection: true
services:
  digits: { models: ${DIGITS_MODELS}, replicas: 2, tags: [handwriting], meta: { size: large } }
caller:
  name: client
  admin: 127.0.0.1:0
  upstreams:
    digits: { listen: 127.0.0.1:0 }
intentions:
  - { from: client, to: digits, action: allow }
default_intention: deny
`;

/** What one row of a list says, and the colour it has. */
export interface Row {
  readonly text: string;
  /** Of its first icon: green, orange, red; empty without one. */
  readonly mark: '' | 'passing' | 'warning' | 'critical';
}

export const SERVICES = 'main li.linkable';
export const INSTANCES = '.list-collection li';
export const CHECKS = 'main li.healthcheck-output';
export const INTENTIONS = 'main tbody tr';

/** Rows with any text; hidden words that an icon stands for (such as `allow`) count. */
export async function rows(page: TestPage, selector: string): Promise<Row[]> {
  const marks = '.passing, .warning, .critical';
  // As text: it runs in the page, whose types are not those of this program.
  const script = `[...document.querySelectorAll(${JSON.stringify(selector)})].map((row) => {
    const mark = row.matches('${marks}') ? row : row.querySelector('${marks}');
    const found = /passing|warning|critical/.exec(mark?.className ?? '');
    return { text: row.textContent.replace(/\\s+/g, ' ').trim(), mark: found ? found[0] : '' };
  }).filter(({ text }) => text !== '')`;
  return (await page.page.evaluate(script)) as Row[];
}

/** Polls until the rows are as wanted; fails with those that were there instead. The page follows Consul by itself. */
export async function rowsOnce(
  page: TestPage,
  selector: string,
  isWanted: (rows: readonly Row[]) => boolean,
  limitMs = 15_000,
): Promise<Row[]> {
  let last: Row[] = [];
  const look = async (): Promise<boolean> => {
    // A page that is just being replaced has no rows for a moment.
    last = await rows(page, selector).catch(() => []);
    return isWanted(last);
  };
  await until('the page shows what it should', look, limitMs).catch((error: Error) => {
    throw new Error(`${error.message}; ${page.page.url()} shows ${JSON.stringify(last)}`);
  });
  return last;
}

/** So many rows, all of them green: the catalogue, which the page shows, follows the agent after a moment. */
export function allWell(count: number): (rows: readonly Row[]) => boolean {
  return (all) => all.length === count && all.every(({ mark }) => mark === 'passing');
}

/** Clicks the link of this name, where a heading has the same. */
export async function follow(page: TestPage, name: string): Promise<void> {
  await page.page.locator(`::-p-aria([name="${name}"][role="link"])`).click();
}

/** Resolves when every instance and every sidecar of the mesh is registered and passes. */
export async function allPassing({ consul, sidecars }: UiFacts): Promise<void> {
  const read = async (): Promise<string[]> => {
    const reply = await fetch(`${consul.address}/v1/agent/checks`, { signal: AbortSignal.timeout(5_000) });
    return Object.values((await reply.json()) as Record<string, { Status: string }>).map(
      ({ Status }) => Status,
    );
  };
  // Each has a check of its own, one of its sidecar, and one by which that follows it.
  const isDone = async (): Promise<boolean> => {
    const states = await read();
    return states.length === 3 * sidecars.length && states.every((state) => state === 'passing');
  };
  await until('all checks pass', isDone, 30_000);
}

/** A replica's model that stands still, whatever its supervisor starts in its place. */
export class FrozenModel {
  constructor(
    private readonly mesh: Mesh,
    private readonly replica: SidecarFacts,
  ) {}

  /** To be called again and again: supervisors kill a model that says nothing, and start another. */
  hold(): void {
    const pid = this.pid();
    if (pid !== undefined && isRunning(pid) && !isStopped(pid)) process.kill(pid, 'SIGSTOP');
  }

  release(): void {
    const pid = this.pid();
    if (pid !== undefined && isRunning(pid)) process.kill(pid, 'SIGCONT');
  }

  private pid(): number | undefined {
    const { name, modelPid } = this.replica;
    const lives = this.mesh.events.filter((event) => event['event'] === 'model' && event['name'] === name);
    const last = lives.at(-1)?.['model'] as { state: string; pid?: number } | undefined;
    if (last === undefined) return modelPid;
    return last.state === 'ready' ? last.pid : undefined;
  }
}
