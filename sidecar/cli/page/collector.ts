import { askAdmin } from '../admin-client.js';
import { oneLine } from '../failure.js';
import { asReport, type Target } from '../status/status.js';
import { drillsIn } from './drills.js';
import type { Answered } from './mesh-view.js';

/** More are not asked: the page is for one mesh on one machine, or a list by hand. */
export const MAX_SIDECARS = 200;
const TIMEOUT_MS = 2_000;

/** Asks every sidecar for its report, metrics and faults, all at once. Never rejects. */
export function collect(targets: readonly Target[]): Promise<Answered[]> {
  return Promise.all(targets.slice(0, MAX_SIDECARS).map(askOne));
}

/**
 * All of one sidecar or nothing: a report without its metrics would show an endpoint without calls. A sidecar that
 * hangs costs its timeout once for all, as the others are asked meanwhile.
 */
async function askOne({ name, address }: Target): Promise<Answered> {
  const get = async (path: string): Promise<string> => {
    const { status, body } = await askAdmin(address, path, { timeoutMs: TIMEOUT_MS });
    if (status !== 200) throw new Error(`${path} answered ${status}`);
    return body;
  };
  try {
    const [report, metrics, faults] = await Promise.all([get('/endpoints'), get('/metrics'), get('/faults')]);
    return { name, report: asReport(report), metrics, drills: drillsIn(faults) };
  } catch (error) {
    return { name, problem: oneLine(error) };
  }
}
