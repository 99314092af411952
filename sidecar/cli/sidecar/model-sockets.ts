import type { Address } from '../../config/model.js';
import { removeLeftSocket } from '../../runtime/process/left-socket.js';

/**
 * Removes the sockets of models that have ended: a successor's listen at other paths (`ofGeneration`), and nobody else would. A socket at
 * which something listens is not that of an ended model, and stays. Never rejects.
 */
export async function removeModelSockets(hosts: readonly { readonly address: Address }[]): Promise<void> {
  for (const { address } of hosts)
    if (address.kind === 'unix') await removeLeftSocket(address.path).catch(() => false);
}
