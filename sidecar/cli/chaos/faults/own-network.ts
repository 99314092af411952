/**
 * A network of the command's own: the command runs itself again in a network namespace that has nothing but loopback, so that the
 * kernel can drop packets there and nowhere else. The kernel removes the namespace with its last process.
 */

import { spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { attempt } from '../../../runtime/attempt.js';

/** The namespace that the command was run in first; absent: it has not been run again. */
const OUTER = 'OUTRIDER_CHAOS_OUTER_NETWORK';
const TRIAL = [
  'ip link set lo up',
  'iptables -w 5 -A INPUT -p tcp --dport 1 -m statistic --mode random --probability 0.5 -j DROP',
].join(' && ');

export function isInOwnNetwork(): boolean {
  const outer = process.env[OUTER];
  return outer !== undefined && outer !== '' && outer !== present();
}

/** Why there can be none here; undefined: there can, or this process is in one. */
export function whyNoOwnNetwork(): string | undefined {
  if (isInOwnNetwork()) return undefined;
  if (process.platform !== 'linux') return 'it needs a network namespace, which only Linux has';
  if (process.getuid?.() !== 0) return 'it needs a network namespace, which only root may make';
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'sh', '-c', TRIAL], { encoding: 'utf8' });
  if (status === 0) return undefined;
  const said = error?.message ?? stderr.trim().split('\n')[0];
  return `it needs a network namespace with unshare (util-linux), ip (iproute2) and iptables: ${said}`;
}

/**
 * Runs a command there, with the streams of this one; signals that ask this one to end are passed on, and it ends when this one does.
 *
 * @param argv the program and its arguments.
 * @returns its exit code, as a shell has it.
 */
export async function runInOwnNetwork(argv: readonly string[]): Promise<number> {
  const child = spawn('unshare', ['--net', ...argv], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // Ctrl-C of a terminal would reach it twice.
    detached: true,
    env: { ...process.env, [OUTER]: present() },
  });
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
    });
  } finally {
    for (const signal of signals) process.off(signal, pass);
  }
}

/** What the command does first when it has been run again. @throws Error where loopback cannot be brought up. */
export function enterOwnNetwork(): void {
  const { status, stderr, error } = spawnSync('ip', ['link', 'set', 'lo', 'up'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip link set lo up: ${error?.message ?? stderr.trim()}`);
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel?.unref();
}

function present(): string {
  return attempt(() => readlinkSync('/proc/self/ns/net'), '');
}
