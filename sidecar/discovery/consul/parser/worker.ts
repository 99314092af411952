/** The thread that parses large answers. Started by its path; nothing imports it. */

import { platform, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { ToWorker } from './messages.js';
import { ParseTask } from './parse-task.js';

/** Calls go first where both want the same core. */
const NICE = 15;
// Linux gives each thread a priority of its own. Elsewhere this would be the whole sidecar's.
if (platform() === 'linux') setPriority(NICE);

const port = parentPort;
if (port !== null) {
  const task = new ParseTask((message) => port.postMessage(message));
  port.on('message', (message: ToWorker) => task.handle(message));
}
