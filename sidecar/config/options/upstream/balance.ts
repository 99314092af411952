/**
 * How the endpoint of an attempt is chosen.
 */
import { BALANCER_KINDS, BALANCERS, type BalancerKind } from '../../../core/balancing/balancers.js';
import { metadataKey } from '../metadata-key.js';
import { blockAs, inCode, option, rules } from '../option.js';
import { choice } from '../values.js';

type BalanceConfig =
  | { readonly kind: Exclude<BalancerKind, 'ring-hash'> }
  | { readonly kind: 'ring-hash'; readonly key: string };

/** `balance`: Envoy's `lb_policy`. */
export const balance = inCode(
  blockAs(`a block such as { kind: ${BALANCER_KINDS[0]} }`, {
    kind: option(choice(BALANCER_KINDS), {
      meaning: BALANCER_KINDS.map((kind) => `\`${kind}\`: ${BALANCERS[kind].meaning}.`).join(' '),
      why: 'The block is there to choose one.',
    }),
    key: option(metadataKey().optional(), {
      meaning: 'With `ring-hash`: the metadata key whose value decides. Calls without it go anywhere.',
      otherwise: 'required with `ring-hash`, refused with the others',
      why: 'Which calls belong together depends on the application.',
    }),
  }).check(
    rules((found, report) => {
      const { kind, key } = found;
      if (kind === 'ring-hash' && key === undefined)
        report(['key'], 'missing; expected a metadata key, by which ring-hash chooses');
      if (key !== undefined && kind !== 'ring-hash' && BALANCER_KINDS.some((each) => each === kind))
        report(['key'], `found with ${kind}, which does not read it; expected "kind: ring-hash"`);
    }),
  ),
  (said) => said as BalanceConfig,
);
