import type { Revision } from './settled-listing.js';
import { compareVersions, type VersionPolicy } from './version-policy.js';

/** A version of which no rollout is begun by itself, because one has ended without it. */
export interface PassedOver {
  readonly model: string;
  readonly version: string;
  /**
   * `judgement`: it has failed; it is tried again once its files have changed. `abort`: an operator has stopped it. `return`: an
   * operator has gone back from it to a lower version. In the last two it waits for a command, and so do versions below it.
   */
  readonly by: 'judgement' | 'abort' | 'return';
}

export const PASSED_OVER_BY = ['judgement', 'abort', 'return'] as const;

/** Of so many it is remembered; the record is read by every replica twice a second. */
const MOST = 64;

/** What counts of a rollout before: how it has ended, and what it was begun with. */
interface PastRollout {
  readonly model: string;
  readonly version: string;
  readonly from: string;
  readonly state: string;
  readonly passedOver?: readonly PassedOver[];
}

/** What a rollout begins with. */
interface Beginning {
  readonly model: string;
  readonly version: string;
  readonly from: string;
  /** It begins by itself, as the directory or the version policy has changed. */
  readonly isFollowed?: boolean;
}

/** What is passed over from the begin of a rollout on; `before`: the one before it. What is asked for is no longer among it. */
export function passedOverSince(
  before: PastRollout | undefined,
  { model, version, from, isFollowed = false }: Beginning,
): readonly PassedOver[] {
  const left = passedOverBy(before).filter(
    (each) =>
      each.model !== model ||
      (each.by === 'judgement' ? each.version !== version : compareVersions(each.version, version) > 0),
  );
  const isReturn = !isFollowed && compareVersions(version, from) < 0;
  return [...left, ...(isReturn ? [{ model, version: from, by: 'return' } as const] : [])].slice(-MOST);
}

/** Why a rollout of this version does not begin by itself; undefined: it may. A policy that names it asks for it after a return. */
export function whyPassedOver(
  record: PastRollout | undefined,
  { name, version }: Pick<Revision, 'name' | 'version'>,
  policy: VersionPolicy,
): PassedOver['by'] | undefined {
  const isNamed = policy.kind === 'specific';
  const against = passedOverBy(record).filter((each) => {
    if (each.model !== name || (each.by === 'return' && isNamed)) return false;
    return each.by === 'judgement' ? each.version === version : compareVersions(version, each.version) <= 0;
  });
  // What an operator has said holds whatever becomes of the files.
  return (against.find(({ by }) => by !== 'judgement') ?? against[0])?.by;
}

/** After this rollout: its own version where it has ended without it, and what was passed over before. */
function passedOverBy(record: PastRollout | undefined): readonly PassedOver[] {
  if (record === undefined) return [];
  const { model, version, from, state, passedOver = [] } = record;
  const hasFailed = state === 'rejected' || state === 'rolled-back';
  if (state !== 'aborted' && !hasFailed) return passedOver;
  // A way back that did not go through is none: the version before it is served as ever.
  const left = passedOver.filter(
    (each) => !(each.by === 'return' && each.model === model && each.version === from),
  );
  return [...left, { model, version, by: hasFailed ? 'judgement' : 'abort' }];
}
