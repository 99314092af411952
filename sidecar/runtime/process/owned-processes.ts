import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { attempt } from '../attempt.js';

/** In the environment of each process that this program starts, and of all that it starts in turn: `NAME-NONCE`. */
export const OWNER_VARIABLE = 'OUTRIDER_OWNER';
/** Beside it: which process the owner is, as `ownStamp` says it. */
export const OWNER_PROCESS_VARIABLE = 'OUTRIDER_OWNER_PROCESS';

/** A process id alone may be used again; with the start time it names one process of this boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after the boot, as text of proc(5). */
  readonly startTime: string;
}

/** The name of an owner as it stands in a mark. */
export function markName(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, '-');
}

/** When the process was started; undefined: there is none, it has ended and waits for its parent, or the system has no /proc. */
export function startTimeOf(pid: number): string | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The command's name is in parentheses and may hold any character.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? [];
  return fields[0] === 'Z' ? undefined : fields[19];
}

/**
 * This process, told apart from every other one of this machine: boot, PID namespace, process id and start time. Undefined: the system
 * has no /proc.
 */
export function ownStamp(): string | undefined {
  const { pid } = process;
  const startTime = startTimeOf(pid);
  const place = ownPlace();
  return startTime === undefined || place === undefined ? undefined : [place, pid, startTime].join('/');
}

/** Where process ids mean what they mean here: boot and PID namespace. Each container has another one. Undefined: the system has no /proc. */
export function ownPlace(): string | undefined {
  const boot = bootId();
  const namespace = pidNamespace();
  return boot === undefined || namespace === undefined ? undefined : `${boot}/${namespace}`;
}

/**
 * Running processes of this user that an earlier process of the owner `name` started, itself or through others, and that have outlived
 * it. Marks of another boot or of another PID namespace prove nothing, and neither does a living owner.
 */
export function orphansOf(name: string): ProcessIdentity[] {
  const mark = new RegExp(`^${markName(name)}-[0-9a-f]{32}$`);
  return attempt(() => readdirSync('/proc'), [])
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .flatMap((pid) => orphan(pid, mark) ?? []);
}

function orphan(pid: number, mark: RegExp): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  const variables = read(`/proc/${pid}/environ`)?.split('\0');
  if (startTime === undefined || variables === undefined || !isOfThisUser(pid)) return undefined;
  if (!mark.test(variable(variables, OWNER_VARIABLE) ?? '')) return undefined;
  const stamp = variable(variables, OWNER_PROCESS_VARIABLE);
  return stamp !== undefined && isGone(stamp) ? { pid, startTime } : undefined;
}

/** Whether a running process was started by this one, itself or through others, or by an owner that has ended. */
export function isOwnOrLeft(pid: number): boolean {
  const stamp = variable(read(`/proc/${pid}/environ`)?.split('\0') ?? [], OWNER_PROCESS_VARIABLE);
  return stamp !== undefined && (stamp === ownStamp() || isGone(stamp));
}

/** Whether the process of the stamp has ended; false where that cannot be known from here. */
export function isGone(stamp: string): boolean {
  const [boot, namespace, pid, startTime] = stamp.split('/');
  if (boot !== bootId() || namespace !== pidNamespace() || !/^\d+$/.test(pid ?? '')) return false;
  return startTimeOf(Number(pid)) !== startTime;
}

/** Signals the process unless it has ended; another one with its id is not touched. Whether it was there. */
export function signalProcess({ pid, startTime }: ProcessIdentity, signal: NodeJS.Signals | 0): boolean {
  if (startTimeOf(pid) !== startTime) return false;
  return attempt(() => process.kill(pid, signal), false);
}

function variable(variables: readonly string[], name: string): string | undefined {
  return variables.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Real and effective user. */
function isOfThisUser(pid: number): boolean {
  const [, real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '') ?? [];
  const own = process.getuid?.();
  return own !== undefined && Number(real) === own && Number(effective) === own;
}

function bootId(): string | undefined {
  return read('/proc/sys/kernel/random/boot_id')?.trim();
}

function pidNamespace(): string | undefined {
  return attempt(() => /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0], undefined);
}

function read(file: string): string | undefined {
  return attempt(() => readFileSync(file, 'latin1'), undefined);
}
