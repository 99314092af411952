/**
 * Ports that a file fixes. They are tried by binding them, which is what the sidecar will do: `/proc/net/tcp` alone does not
 * say whether an address of this machine may be used, nor whether this user may use a port below 1024.
 */
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { portOwner } from '../../runtime/process/port-owner.js';
import { runningMeshes } from '../up/run-directory.js';
import { type Finding, failed, ok } from './finding.js';
import type { PlannedPort, Subject } from './subject.js';

/** The command lines of processes that hold ports of a mesh: this program as `up` or as a sidecar. */
const OURS = /\/(outrider|main\.js|program\.js) (up|sidecar)\b/;

/** Each port of a file: free, held by the mesh or sidecar itself, or taken by another process, which is named. */
export async function checkPorts({ file, kind, ports }: Subject): Promise<Finding[]> {
  const isRunning = kind === 'sidecar' || runningMeshes().some(({ meshFile }) => meshFile === resolve(file));
  const findings: Finding[] = [];
  // One after the other: a file may name a port twice.
  for (const planned of ports) findings.push(await checkPort(planned, isRunning));
  return findings;
}

/** One port. The error of the system says why it cannot be opened, and what to do differs by it. */
async function checkPort({ host, port, of }: PlannedPort, mayBeOurs: boolean): Promise<Finding> {
  const where = `${host}:${port} (${of})`;
  const code = await bindProblem(host, port);
  if (code === undefined) return ok('port', `${where} is free`);
  if (code === 'EADDRINUSE') {
    const owner = portOwner(port);
    if (mayBeOurs && owner !== undefined && OURS.test(owner))
      return ok('port', `${where} is held by ${owner}`);
    const by = owner ?? 'a process of another user';
    return failed(
      'port',
      `${where} is taken by ${by}`,
      'end that process, or choose another port in the file',
    );
  }
  if (code === 'EACCES')
    return failed(
      'port',
      `${where} may not be opened by this user`,
      'use a port from 1024 on, or grant CAP_NET_BIND_SERVICE',
    );
  return failed('port', `${where} cannot be opened here: ${code}`, 'use an address of this machine');
}

/** Binds and closes at once; the error of the system, undefined: none. */
function bindProblem(host: string, port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => done(undefined)));
  });
}
