/** Windows are whole while a stream is open and nothing of it is under way: what was received has been given back, or is about to be. */
import type { CallRecord } from '../world/records.js';
import type { Watch, World } from '../world/world.js';

const LOOK_MS = 500;
/** Nothing has happened for so many looks. */
const QUIET_LOOKS = 3;

/** A connection of a sidecar, as far as its windows are concerned. */
interface Windows {
  readonly connection: {
    readonly state: {
      readonly role: string;
      readonly table: {
        all(): readonly {
          readonly id: number;
          readonly recvWindow: number;
          readonly recvTarget: number;
          readonly unannounced: number;
          readonly pendingBytes: number;
        }[];
      };
    };
  };
}

/** Looks at windows when all calls that are open pause. */
export function windows(): Watch {
  let before = '';
  let looks = 0;
  return {
    everyMs: LOOK_MS,
    look(world) {
      const now = pausing(world);
      looks = now !== '' && now === before ? looks + 1 : 0;
      before = now;
      if (looks === QUIET_LOOKS) judgeWindows(world);
    },
  };
}

/** What the open calls have sent, where each pauses and its models have all of that; empty: something is under way. */
function pausing(world: World): string {
  const open = world.records.filter(({ startMs, endMs }) => startMs >= 0 && endMs < 0);
  if (open.length === 0 || !open.every(isPausing)) return '';
  const working = world.models.reduce((sum, { executions }) => sum + executions.size, 0);
  const known = open.reduce((sum, { executions }) => sum + executions.length, 0);
  if (working !== known) return '';
  return open.map(({ plan, sent }) => `${plan.id} ${sent}`).join(' ');
}

function isPausing({ plan, sent, executions }: CallRecord): boolean {
  const isUnderWay = sent > 0 && sent < plan.request.length && executions.length > 0;
  return isUnderWay && executions.every(({ endMs, received }) => endMs < 0 && received === sent);
}

function judgeWindows(world: World): void {
  for (const { name, insides, process } of world.sidecars) {
    if (insides === undefined || process.isDead || process.isFrozen) continue;
    for (const holder of insides.context.dataPlane.memory.holders)
      for (const stream of (holder as unknown as Windows).connection.state.table.all()) {
        const { id, recvWindow, recvTarget, unannounced, pendingBytes } = stream;
        const what = `${name}: stream ${id} of a ${(holder as unknown as Windows).connection.state.role}`;
        if (pendingBytes !== 0) world.findOnce('windows', `${what} has ${pendingBytes} bytes to send`);
        if (recvWindow + unannounced !== recvTarget)
          world.findOnce(
            'windows',
            `${what} may get ${recvWindow} bytes and ${unannounced} more, of ${recvTarget}, and all is read`,
          );
      }
  }
}
