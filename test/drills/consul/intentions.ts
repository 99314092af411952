/** Row: intentions change under load. */

import { setTimeout as delay } from 'node:timers/promises';
import type { SentCall } from '../faults/load.js';
import { OpenStreams } from '../faults/open-streams.js';
import type { Row, Trial } from '../faults/row.js';
import { longest, measure } from '../faults/times.js';
import { untilRefused, untilServed } from './refusals.js';
import { CALLER, type ConsulWorld, SERVICE } from './world.js';

const NOTICE_MS = 2_000;
/** A call sent just before the answer to our request to Consul can already be refused. */
const EARLY_MS = 100;
const STREAMS = 4;
const REFUSED = 'PERMISSION_DENIED not-allowed';

export const intentionFlipped: Row<ConsulWorld> = {
  name: 'intention-flipped',
  fault: 'an intention is changed to deny and back to allow',
  async run(world, trial) {
    const flips: Flip[] = [];
    const calls = await trial.under(world.load, async () => {
      for (let i = 0; i < trial.pick(1, 5); i++) flips.push(await flip(world, trial));
    });
    judge(trial, calls, flips);
  },
};

/** One change from allowed to denied and back. */
type Flip = Awaited<ReturnType<typeof flip>>;

async function flip(world: ConsulWorld, trial: Trial) {
  const streams = await OpenStreams.open(world.mesh.caller.target(SERVICE), STREAMS);
  try {
    await world.setIntention(CALLER, SERVICE, 'deny');
    const deniedMs = performance.now();
    const { endings } = streams;
    const isOver = () => endings.length === STREAMS && world.load.since(deniedMs).failed > 0;
    await measure(isOver, NOTICE_MS + 500);
    await delay(trial.pick(300, 3_000));
    // When the last open stream ended; undefined when one did not.
    const streamsEndedMs = endings.length === STREAMS ? endings.at(-1)!.atMs - deniedMs : undefined;
    await world.setIntention(CALLER, SERVICE, 'allow');
    const allowedMs = performance.now();
    await measure(() => world.load.since(allowedMs).ok > 0, NOTICE_MS + 500);
    await delay(trial.pick(300, 3_000));
    return { deniedMs, allowedMs, streamsEndedMs, streamEndings: endings.map(({ what }) => what) };
  } finally {
    streams.close();
    await world.setIntention(CALLER, SERVICE, 'allow');
  }
}

function judge(trial: Trial, calls: readonly SentCall[], flips: readonly Flip[]): void {
  const refused = flips.map(({ deniedMs, allowedMs }) => untilRefused(calls, deniedMs, allowedMs));
  trial.within('refusals begin', NOTICE_MS, longest(refused));
  const served = flips.map(({ allowedMs }, i) => {
    const next = flips[i + 1];
    return untilServed(calls, allowedMs, next && next.deniedMs - EARLY_MS);
  });
  trial.within('and end', NOTICE_MS, longest(served));
  trial.within('open streams are ended', NOTICE_MS, longest(flips.map((one) => one.streamsEndedMs)));
  const ended = flips.flatMap(({ streamEndings }) => streamEndings);
  trial.only(`with ${REFUSED} only`, ended, REFUSED);
  const failures = calls.flatMap(({ failure }) => failure ?? []);
  trial.only(`calls too are refused with ${REFUSED} only`, failures, REFUSED);
  const outside = calls.filter(({ startMs }) => !flips.some((one) => isDuring(startMs, one)));
  trial.noneFailed('no call fails at another time', outside);
}

function isDuring(startMs: number, { deniedMs, allowedMs }: Flip): boolean {
  return startMs >= deniedMs - EARLY_MS && startMs <= allowedMs + NOTICE_MS;
}
