/** What a cluster leaves on the machine, and its removal by force: without its parts, which may have been killed. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** The network namespace of all its parts. */
export const NAMESPACE = 'outrider-cluster';
/** Settings of the kernel that a kubelet changes for the whole machine. */
const SYSCTLS = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops'].map(
  (name) => `/proc/sys/${name}`,
);
const KUBEPODS = '/sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods';
/** A killed process is gone in milliseconds, unless its disk is slow. */
const LIMIT_MS = 10_000;
const PAUSE_MS = 50;

/** What has to be known to put the machine back as it was. */
export interface Remains {
  /** Of the cluster; what else is to be removed with it. */
  readonly folders: readonly string[];
  /** Values of the kernel's settings before the cluster. */
  readonly sysctls: readonly string[];
}

/** To be called before the cluster starts. */
export function remainsOf(...folders: string[]): Remains {
  return { folders, sysctls: SYSCTLS.map((path) => readFileSync(path, 'utf8').trim()) };
}

/** Ends every process of the cluster and of its pods, and removes mounts, network, cgroups and folders. Does nothing where nothing is left. */
export function removeRemains({ folders, sysctls }: Remains): void {
  killUntilGone(() => [...pidsOf('ip', 'netns', 'pids', NAMESPACE), ...podPids()]);
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  for (const mount of mounts
    .filter((each) => folders.some((folder) => each.startsWith(`${folder}/`)))
    .reverse())
    spawnSync('umount', ['-l', mount]);
  spawnSync('ip', ['netns', 'del', NAMESPACE]);
  for (const [i, value] of sysctls.entries()) writeFileSync(SYSCTLS[i]!, value);
  const rmdir = `for each in ${KUBEPODS}; do [ ! -d "$each" ] || find "$each" -depth -type d -exec rmdir {} +; done`;
  spawnSync('sh', ['-c', rmdir]);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

function podPids(): number[] {
  return pidsOf(
    'sh',
    '-c',
    `for each in ${KUBEPODS}; do find "$each" -name cgroup.procs -exec cat {} + 2>/dev/null; done`,
  );
}

function pidsOf(program: string, ...args: string[]): number[] {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter(Boolean).map(Number);
}

/** A process that is being started may come after the list was made, so the list is made anew until it is empty. */
function killUntilGone(list: () => readonly number[]): void {
  const endMs = performance.now() + LIMIT_MS;
  for (let pids = list(); pids.length > 0 && performance.now() < endMs; pids = list()) {
    for (const pid of pids) spawnSync('kill', ['-9', String(pid)]);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}
