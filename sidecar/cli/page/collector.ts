import type { HistoryReport } from '../../admin/history/history-report.js';
import { present } from '../../config/present.js';
import type { RolloutView } from '../../core/models/rollout.js';
import { askAdmin } from '../admin-client.js';
import { oneLine } from '../failure.js';
import { parsePeerJson } from '../peer-json.js';
import { asReport, type Target } from '../status/status.js';
import { drillsIn } from './drills.js';
import type { Answered } from './mesh-view.js';

/** More are not asked: the page is for one mesh on one machine, or a list by hand. */
export const MAX_SIDECARS = 200;
const TIMEOUT_MS = 2_000;
/** What a sidecar answers that has no such thing, or is of an earlier version. */
const NOT_FOUND = 404;

/** The newest slot that is known of a sidecar; -1: none. */
export type SinceOf = (name: string) => number;

/** Asks every sidecar for its report, history, rollout and faults, all at once. Never rejects. */
export function collect(targets: readonly Target[], sinceOf: SinceOf): Promise<Answered[]> {
  return Promise.all(targets.slice(0, MAX_SIDECARS).map((target) => askOne(target, sinceOf(target.name))));
}

/**
 * All of one sidecar or nothing: a report without its history would show an endpoint without calls. A sidecar that
 * hangs costs its timeout once for all, as the others are asked meanwhile.
 */
async function askOne({ name, address }: Target, since: number): Promise<Answered> {
  const ask = async (path: string): Promise<string | undefined> => {
    const { status, body } = await askAdmin(address, path, { timeoutMs: TIMEOUT_MS });
    if (status === NOT_FOUND) return undefined;
    if (status !== 200) throw new Error(`${path} answered ${status}`);
    return body;
  };
  const need = async (path: string): Promise<string> => {
    const body = await ask(path);
    if (body === undefined) throw new Error(`${path} answered ${NOT_FOUND}`);
    return body;
  };
  try {
    const [answer, history, faults, rollout] = await Promise.all([
      need('/endpoints'),
      ask(`/history?since=${since}`),
      need('/faults'),
      ask('/rollout'),
    ]);
    const report = asReport(answer);
    // Of an earlier version: its counters are read, and the history begins with this page.
    const metrics = history === undefined ? await need('/metrics') : undefined;
    return {
      name,
      report,
      ...present('history', history === undefined ? undefined : (parsePeerJson(history) as HistoryReport)),
      ...present('metrics', metrics),
      ...present(
        'rollout',
        rollout === undefined ? undefined : (parsePeerJson(rollout) as RolloutView).record,
      ),
      drills: drillsIn(faults),
    };
  } catch (error) {
    return { name, problem: oneLine(error) };
  }
}
