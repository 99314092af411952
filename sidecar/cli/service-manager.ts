import { spawnSync } from 'node:child_process';

const LIMIT_MS = 2_000;

/**
 * Reports to systemd that this process is the service's main process now, and ready (sd_notify(3),
 * `MAINPID=`); the unit needs `Type=notify` and `NotifyAccess=all`. Without it, systemd takes the
 * service for ended when a successor takes over. Node has no datagram sockets on Unix paths, so
 * `systemd-notify` sends the message.
 *
 * @returns what went wrong, in one line; undefined when it was sent, and without systemd.
 */
export function notifyServiceManager(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env['NOTIFY_SOCKET'] === undefined) return undefined;
  const result = spawnSync('systemd-notify', ['--ready', `--pid=${process.pid}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: LIMIT_MS,
    encoding: 'utf8',
  });
  if (result.status === 0) return undefined;
  return result.error?.message ?? (result.stderr.trim() || `systemd-notify ended with ${result.status}`);
}
