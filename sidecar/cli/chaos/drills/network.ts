/**
 * Drills of the way to a replica. A TCP proxy of ours does to it what firewalls and bad lines do, without root and on any system: with a
 * mesh it carries the TLS connections of two sidecars. The last two have the kernel drop packets, so that TCP itself has to notice;
 * the command runs itself in a network of its own for them.
 */

import { whyNoOwnNetwork } from '../faults/own-network.js';
import { dropNoPackets, dropPackets } from '../faults/packets.js';
import type { Fault } from '../faults/wire.js';
import { type Drill, type Stage, wiresOf } from './drill.js';

/** The wires that a fault is about get it, and are well after it. */
function wireDrill(
  about: Omit<Drill, 'begin' | 'end' | 'path'>,
  fault: Fault,
  whose: 'victim' | 'all',
): Drill {
  const set = (what: Fault) => async (stage: Stage) => {
    for (const wire of wiresOf(stage, whose)) wire.set(what);
  };
  return { ...about, path: 'wired', begin: set(fault), end: set({ kind: 'none' }) };
}

/** A firewall that forgot a rule, a switch that died: connections stay open, and nothing passes. */
export const blackHole = wireDrill(
  {
    name: 'black-hole',
    title: 'Nothing passes to one replica any more',
    does: 'The way to one replica of three swallows everything, on old connections and new ones, and closes none, for 4.5 s.',
    set: 'standard',
  },
  { kind: 'dark' },
  'victim',
);

/** A bad cable: TCP copes, and everything is late. */
export const loss = wireDrill(
  {
    name: 'loss',
    title: 'All ways lose a fifth of what is sent',
    does: 'One piece of five on the way to each replica has to be sent again, 20 ms later, for 4.5 s.',
    set: 'full',
  },
  { kind: 'lossy', percent: 20 },
  'all',
);

/** A replica that is suddenly in another city. */
export const delay = wireDrill(
  {
    name: 'delay',
    title: 'The way to one replica takes 100 ms longer',
    does: 'Every piece on the way to one replica of three arrives 100 ms later, for 4.5 s.',
    set: 'full',
  },
  { kind: 'late', byMs: 100 },
  'victim',
);

/** A line that another user fills. */
export const narrowLine = wireDrill(
  {
    name: 'narrow-line',
    title: 'The way to one replica carries little',
    does: 'The way to one replica of three carries 20 kB a second in each direction of each connection, for 4.5 s.',
    set: 'full',
  },
  { kind: 'narrow', bytesPerSecond: 20_000 },
  'victim',
);

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
