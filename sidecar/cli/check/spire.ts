import { existsSync } from 'node:fs';
import { writeAddress } from '../../config/codecs/address.js';
import { MappedIds } from '../../identity/mapped-ids.js';
import { isProblem } from '../../identity/spiffe.js';
import { chooseSvid } from '../../identity/spire/choose-svid.js';
import { whyEnded } from '../../identity/spire/spire-source.js';
import { WorkloadSocket } from '../../identity/spire/workload-api.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { timeText } from './certificates.js';
import { type Finding, failed, ok, warning } from './finding.js';
import type { Subject } from './subject.js';

/** An agent answers in milliseconds; the attestation may take it a second or two. */
const LIMIT_MS = 5_000;

const NOT_THERE =
  'start the agent, or check the path under `identity.spire`; in a container the directory of the socket has to be mounted';
const NO_SVID =
  '`spire-server entry show`: the selectors have to fit the sidecar, and this command, which the agent attests too: run it as the same user in the same container';

/** The SVID that a SPIRE agent gives to this process: whether peers would accept it, and until when. */
export async function checkSpire(
  { spire, trustDomain, services }: Subject,
  wallNowMs: number,
): Promise<Finding[]> {
  if (spire === undefined || spire.spire.kind !== 'unix') return [];
  const { path } = spire.spire;
  const where = writeAddress(spire.spire);
  if (!existsSync(path)) return [failed('certificate', `${where}: no such socket`, NOT_THERE)];
  const found = await firstResponse(new WorkloadSocket(path, spire.spireOwner, systemTimers), where);
  if (typeof found === 'string') return [failed('certificate', found, NO_SVID)];
  const ids = spire.ids && new MappedIds(spire.ids);
  const wanted = { trustDomain, service: services[0] ?? '', ids, hint: spire.hint };
  const chosen = chooseSvid(found, wanted, wallNowMs);
  if (isProblem(chosen)) return [failed('certificate', `${where}: ${chosen.problem}`, NO_SVID)];
  const { id, notAfterMs } = chosen.identity;
  const next = 'give the agent the bundle of that trust domain again';
  return [
    ok('certificate', `${where}: ${id.uri}, ends in ${timeText(notAfterMs - wallNowMs)}`),
    ...chosen.leftOut.map((each) => warning('certificate', `${where}: ${each}`, next)),
  ];
}

/** The first response; or why there is none. */
function firstResponse(api: WorkloadSocket, where: string): Promise<Buffer | string> {
  return new Promise((resolve) => {
    let cancel = (): void => {};
    const limit = setTimeout(
      () => finish(`the SPIRE agent at ${where} has not answered within ${LIMIT_MS / 1_000} s`),
      LIMIT_MS,
    );
    const finish = (result: Buffer | string): void => {
      clearTimeout(limit);
      cancel();
      resolve(result);
    };
    try {
      cancel = api.fetch({ message: finish, end: (end) => finish(whyEnded(end, where)) });
    } catch (error) {
      finish(messageOf(error));
    }
  });
}
