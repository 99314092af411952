/** The thread that parses large answers. Started by its path; nothing imports it. */

import { parentPort } from 'node:worker_threads';
import { ParseDesk } from './parse-desk.js';
import type { ToWorker } from './parse-messages.js';

const port = parentPort;
if (port !== null) {
  const desk = new ParseDesk((message) => port.postMessage(message));
  port.on('message', (message: ToWorker) => desk.take(message));
}
