import { writeAddress } from '../../config/codecs/address.js';
import type { Address } from '../../config/model.js';
import { askAdmin } from '../admin-client.js';
import { drillsIn } from '../page/drills.js';
import type { Target } from '../status/status.js';
import { type Finding, warning } from './finding.js';
import { checkClock } from './machine.js';

const TIMEOUT_MS = 2_000;

/**
 * What is asked of running sidecars beside their reports: fault drills that are on, by which calls fail or are slow because that was asked
 * for, and their clocks where these differ from ours, as on another machine. A sidecar that does not answer has a finding elsewhere.
 *
 * @param wallNow this machine's clock, ms.
 */
export async function checkAsked(targets: readonly Target[], wallNow: () => number): Promise<Finding[]> {
  const found = await Promise.all(targets.map((target) => checkOne(target, wallNow).catch(() => [])));
  return found.flat();
}

async function checkOne({ name, address }: Target, wallNow: () => number): Promise<Finding[]> {
  const beforeMs = wallNow();
  const { status, body, date } = await askAdmin(address, '/faults', { timeoutMs: TIMEOUT_MS });
  if (status !== 200) return [];
  const clock = checkClock(name, date, (beforeMs + wallNow()) / 2).filter(({ level }) => level !== 'ok');
  const next = `a fault drill is on: \`curl -X DELETE ${urlOf(address)}/faults\` ends it, with -H "Authorization: Bearer TOKEN" beside admin_token_file`;
  return [...clock, ...drillsIn(body).map((sentence) => warning('drill', `${name}: ${sentence}`, next))];
}

/** As curl takes it. */
function urlOf(address: Address): string {
  return address.kind === 'unix'
    ? `--unix-socket ${address.path} http://localhost`
    : `http://${writeAddress(address)}`;
}
