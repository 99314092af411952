/** An application that holds streams open until it is killed: `node decisions-client-process.js TARGET COUNT`. */

import { answerRequests } from '../../kit/process/asked-process.js';
import { OpenStreams } from '../faults/open-streams.js';

const [, , target, count] = process.argv;
await OpenStreams.open(target!, Number(count));
answerRequests(() => {});
