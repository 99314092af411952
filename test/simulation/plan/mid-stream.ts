/** When faults happen: most of them while a stream is answered, and at the replica that answers it. */
import type { Dice } from '../dice.js';
import {
  type FaultKind,
  type FaultPlan,
  MET_STREAMS,
  type Met,
  PIECE_MS,
  type ReplicaPlan,
  TWICE,
} from './plan.js';

const MET_SHARE = 0.8;
/** Where calls are hedged: of these faults, those that meet a call that two replicas have, and how long they have had it at most, ms. */
const TWICE_SHARE = 0.5;
const MOST_TWICE_MS = 300;
/** Another replica that goes on with a stream that was met is struck as well. */
const AGAIN = 0.45;
const MOST_TIMES = 4;

/** What a replica does for a while, and not at one moment. */
export const LASTING: ReadonlySet<FaultKind> = new Set(['slow-model', 'failing-model']);
/** What may befall all replicas at once. */
const OF_ALL: ReadonlySet<FaultKind> = new Set(['kill-model', 'kill-sidecar', 'failing-model', 'partition']);
/** Faults that meet a stream at the replica that answers it. */
const AT_STREAMS: ReadonlySet<FaultKind> = new Set([
  ...(['kill-model', 'freeze-model', 'kill-sidecar', 'freeze-sidecar'] as const),
  ...(['break-connection', 'stall-connection', 'partition'] as const),
]);
/** Of these, those after which another replica goes on at once. */
const ENDING: readonly FaultKind[] = ['kill-model', 'kill-sidecar', 'break-connection'];

/** How a fault of this kind meets a stream, in most cases: it seldom does by chance. @param stream no other fault of the plan has this number. */
export function inMidStream(
  dice: Dice,
  kind: FaultKind,
  stream: number,
  hasHedges: boolean,
): { readonly met?: Met } {
  if (!AT_STREAMS.has(kind)) return {};
  const twice = dice.of('twice');
  if (hasHedges && twice.chance(TWICE_SHARE))
    return {
      met: {
        stream,
        of: TWICE,
        share: twice.next(),
        afterMs: twice.logBetween(1, MOST_TWICE_MS),
        replicasBefore: 0,
      },
    };
  if (!dice.chance(MET_SHARE)) return {};
  return { met: { stream, of: dice.pick(MET_STREAMS), ...momentOf(dice.of('moment')), replicasBefore: 0 } };
}

function momentOf(dice: Dice): Pick<Met, 'share' | 'afterMs'> {
  return { share: dice.next(), afterMs: dice.pick([0.05, 1, PIECE_MS / 2]) };
}

/** At a replica that begins anew: in many cases before it has sent what the caller has. */
function laterOf(dice: Dice, { share }: Met): Pick<Met, 'share' | 'afterMs'> {
  const moment = momentOf(dice);
  return dice.of('repeating').chance(0.5) ? { ...moment, share: share * moment.share } : moment;
}

/** The same stream is met again where another replica goes on with it, and perhaps once more. */
export function metAgain(dice: Dice, fault: FaultPlan, has: (kind: FaultKind) => boolean): FaultPlan[] {
  const { met } = fault;
  if (met === undefined || met.of === TWICE || !ENDING.includes(fault.kind)) return [];
  const kinds = ENDING.filter(has);
  const more: FaultPlan[] = [];
  while (more.length < MOST_TIMES && dice.chance(AGAIN)) {
    const own = dice.of(more.length);
    const kind = own.pick(kinds);
    more.push({
      ...fault,
      kind,
      untilMs: fault.atMs + own.logBetween(50, 3_000),
      amount: kind === 'break-connection' ? own.logBetween(1, 20_000) : 0,
      met: { ...met, ...laterOf(own.of('moment'), met), replicasBefore: more.length + 1 },
    });
  }
  return more;
}

/** The same at all other replicas of the service now and then, and perhaps at the other services. */
export function outageOf(fault: FaultPlan, replicas: readonly ReplicaPlan[], dice: Dice): FaultPlan[] {
  if (!OF_ALL.has(fault.kind) || !dice.chance(0.5)) return [];
  const isWide = dice.chance(0.3);
  const { met: _met, ...same } = fault;
  return replicas
    .filter(({ name, service }) => name !== fault.target && (isWide || service === replicas[0]!.service))
    .map(({ name }) => ({ ...same, target: name, atMs: fault.atMs + dice.between(0, 20) }));
}

export function amountOf(kind: FaultKind, dice: Dice): number {
  if (kind === 'slow-model') return dice.pick([3, 10, 50, 100]);
  if (kind === 'failing-model') return dice.pick([2, 13, 14, 14]);
  if (kind === 'break-connection') return dice.logBetween(1, 100_000);
  return 0;
}
