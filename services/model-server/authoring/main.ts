/**
 * The process that looks into a model for `outrider init`, `outrider golden` and `outrider check`: it answers requests on its IPC channel
 * (proto/authoring.ts) and ends when the channel does. A file that crashes the runtime ends this process and nothing else.
 */

import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { AuthoringAnswer, AuthoringRequest } from '../../../proto/authoring.js';
import { messageOf } from '../rpc.js';
import { Described } from './described.js';
import { newCard } from './new-card.js';
import { proved } from './proved.js';

let described: Described | undefined;

process.on('message', (request: AuthoringRequest) => {
  void answerTo(request)
    .catch((error: unknown): AuthoringAnswer => ({ answer: 'failed', why: messageOf(error) }))
    .then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit(0));

async function answerTo(request: AuthoringRequest): Promise<AuthoringAnswer> {
  switch (request.ask) {
    case 'card':
      return newCard(request);
    case 'describe':
      described = await Described.open(place(request.directory));
      return { answer: 'describe', metadata: described.metadata };
    case 'prove':
      return { answer: 'prove', isRun: await proved(place(request.directory)) };
    case 'golden':
      if (described === undefined) throw new Error('no model is described yet');
      return { answer: 'golden', ...(await described.renew(request)) };
  }
}

function place(directory: string) {
  const card = readFileSync(join(directory, 'model.yaml'), 'utf8');
  return { directory, card, name: basename(dirname(directory)) };
}
