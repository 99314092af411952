/** An application that holds streams open until it is killed: `node decisions-client-process.js TARGET COUNT`. */

import { OpenStreams } from '../faults/open-streams.js';

const [, , target, count] = process.argv;
process.on('disconnect', () => process.exit(0));
OpenStreams.open(target!, Number(count)).then(
  () => process.send?.('open'),
  (error: Error) => process.send?.(error.message),
);
