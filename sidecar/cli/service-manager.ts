/**
 * systemd follows the process that it started and takes a service for ended with it. A sidecar that is followed by another
 * says so (sd_notify(3), `MAINPID=`), where the unit has `Type=notify` and `NotifyAccess=all`. Node has no datagrams on Unix
 * sockets, so systemd's own program speaks.
 */

import { spawnSync } from 'node:child_process';

const LIMIT_MS = 2_000;

/** This process is the service now, and ready. Returns what went wrong, in one line; undefined also without systemd. */
export function notifyServiceManager(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env['NOTIFY_SOCKET'] === undefined) return undefined;
  const told = spawnSync('systemd-notify', ['--ready', `--pid=${process.pid}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: LIMIT_MS,
    encoding: 'utf8',
  });
  if (told.status === 0) return undefined;
  return told.error?.message ?? (told.stderr.trim() || `systemd-notify ended with ${told.status}`);
}
