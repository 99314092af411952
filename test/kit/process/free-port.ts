/** Ports for programs of tests, which no other test gets. */

import { randomInt } from 'node:crypto';
import { portProblem } from '../../../sidecar/cli/listen-problem.js';
import { type PortReservation, reservePort } from '../../../sidecar/runtime/process/port-reservation.js';

/** Bounds of `freePort`: below the ports that `outrider up` finds, and so below those of outgoing connections. */
const LOWEST_PORT = 11_000;
const END_OF_PORTS = 18_000;

/**
 * The first of `count` free loopback ports in a row, for programs that cannot choose one themselves. No other test gets them before
 * this process ends; a mesh whose file names one may claim it.
 */
export async function freePort(count = 1): Promise<number> {
  for (;;) {
    const first = randomInt(LOWEST_PORT, END_OF_PORTS - count);
    const row = await Promise.all(Array.from({ length: count }, (_, i) => reserveFree(first + i)));
    if (!row.includes(undefined)) return first;
    for (const each of row) each?.release();
  }
}

async function reserveFree(port: number): Promise<PortReservation | undefined> {
  // Under another name than a mesh reserves it.
  const reservation = await reservePort('tests', port);
  if (
    reservation === undefined ||
    (await portProblem({ kind: 'tcp', host: '127.0.0.1', port })) === undefined
  )
    return reservation;
  reservation.release();
  return undefined;
}
