/**
 * When calls come to the queues of models. Nothing outside a sidecar tells it exactly, so its queues are listened to: that a call is offered to one,
 * and never what the queue makes of it.
 */
import { metadataValue } from '../../../sidecar/http2/header-view.js';
import type { Ticket } from '../../../sidecar/inbound/call.js';
import type { CallRecord } from './records.js';
import type { Release } from './release.js';
import { CALL_KEY } from './sim-model.js';
import type { SimSidecar } from './sim-sidecar.js';

interface Listened {
  readonly clock: { now(): number };
  readonly records: readonly CallRecord[];
  readonly sidecars: readonly SimSidecar[];
}

type Offer = (this: unknown, entry: Ticket, ...rest: unknown[]) => unknown;

/** Notes arrivals in the records of the calls. Returns how to stop it. */
export function noteArrivals(
  { clock, records, sidecars }: Listened,
  releases: readonly Release[],
): () => void {
  const byId = new Map(records.map((record) => [record.plan.id, record]));
  const names = new Map<unknown, string>();
  const nameOf = (context: unknown): string => {
    const known = names.get(context);
    if (known !== undefined) return known;
    const name = sidecars.find(({ insides }) => insides?.context.dataPlane === context)?.name ?? '';
    names.set(context, name);
    return name;
  };
  const holders = new Set(releases.map(({ InboundQueue }) => InboundQueue.prototype));
  const forgets = [...holders].map((prototype) => {
    const holder = prototype as unknown as { offer: Offer };
    const { offer } = holder;
    holder.offer = function (entry, ...rest) {
      const { block, context } = entry.call;
      const record = byId.get(Number(metadataValue(block, CALL_KEY) ?? -1));
      record?.arrivals.push({ replica: nameOf(context), atMs: clock.now() });
      return offer.call(this, entry, ...rest);
    };
    return () => {
      holder.offer = offer;
    };
  });
  return () => {
    for (const forget of forgets) forget();
  };
}
