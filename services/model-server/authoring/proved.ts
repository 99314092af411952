/** A model directory that is looked at without a server. */

import { parseDraft } from '../models/card.js';
import { Described, type Place } from './described.js';

/**
 * Whether the model could be proven without a server, which it then is. False for code, which may do anything, and for a network with a
 * state, which is not itself the model. Rejects as `prove` does.
 */
export async function proved(place: Place): Promise<boolean> {
  const { code, sequence } = parseDraft(place.card);
  if (code !== undefined || sequence !== undefined) return false;
  await (await Described.open(place)).prove();
  return true;
}
