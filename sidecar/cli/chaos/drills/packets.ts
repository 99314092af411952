/**
 * Drills in which the kernel drops packets on the way to a replica, so that TCP itself has to notice: nothing is acknowledged, and what
 * was lost is sent again at growing intervals. The command runs itself in a network of its own for them.
 */

import { whyNoOwnNetwork } from '../faults/own-network.js';
import { dropNoPackets, dropPackets } from '../faults/packets.js';
import { type Drill, wiresOf } from './drill.js';

function packetDrill(
  about: Pick<Drill, 'name' | 'title' | 'does'>,
  share: number,
  whose: 'victim' | 'all',
): Drill {
  return {
    ...about,
    set: 'full',
    path: 'wired',
    network: 'own',
    missing: async () => whyNoOwnNetwork(),
    begin: async (stage) => {
      stage.later(() => dropNoPackets());
      for (const { port } of wiresOf(stage, whose)) await dropPackets(port, share);
    },
  };
}

/** A firewall that drops, a route that is gone. */
export const partition = packetDrill(
  {
    name: 'partition',
    title: 'Every packet to and from one replica is dropped',
    does: 'The kernel drops all packets between the caller’s side and one replica of three, of old connections and new ones, for 4.5 s.',
  },
  1,
  'victim',
);

/** A bad line, with TCP’s own way of noticing. */
export const packetLoss = packetDrill(
  {
    name: 'packet-loss',
    title: 'One packet of ten is dropped on all ways',
    does: 'The kernel drops one packet of ten between the caller’s side and each replica, at random, for 4.5 s.',
  },
  0.1,
  'all',
);
