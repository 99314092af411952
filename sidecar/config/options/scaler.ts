/** `scaler` of a sidecar file, and of the caller of a mesh file. */
import { entries, mapping } from './found.js';
import { block, option, type Report } from './option.js';
import { listenAddress } from './values.js';

export const scaler = option(
  block({
    listen: option(listenAddress(), {
      meaning:
        'Where `externalscaler.ExternalScaler` is served, in plaintext: the `scalerAddress` of a trigger. Who reaches it reads names of upstreams and how busy they are, and changes nothing.',
      why: "Without it KEDA could not ask. Let only KEDA's operator reach the port.",
    }),
  }).optional(),
  {
    meaning:
      'Present: KEDA may ask this sidecar how much work its upstreams have (triggers `external` and `external-push`). The endpoints of all upstreams are asked for their load, also while they get no calls from here.',
    otherwise: 'absent: nothing is opened',
    why: 'Most services have a fixed number of replicas, or are scaled by metrics.',
  },
);

/** The scaler knows what endpoints report: it can answer for an upstream whose endpoints are asked. */
export function requireScaled(scaler: unknown, upstreams: unknown, report: Report): void {
  if (scaler === undefined) return;
  const all = entries(upstreams);
  if (all.length === 0)
    return report(['scaler'], 'found without upstreams; expected the services that are scaled among them');
  const isAsked = all.some(
    ([, { tls, load_reports: reports }]) => tls !== 'plaintext' && mapping(reports)['interval'] !== 0,
  );
  if (!isAsked)
    report(
      ['scaler'],
      'found without an upstream that is asked for its load; expected one with "tls: mesh" and load_reports.interval',
    );
}
