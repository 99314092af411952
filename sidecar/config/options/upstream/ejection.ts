/**
 * When an endpoint is taken out, and for how long.
 */
import { block, option, rules } from '../option.js';
import { choice, duration, ratio, refuseMaxBelowBase, wholeNumber } from '../values.js';
import { detectors } from './outlier-detectors.js';

const HOUR_MS = 3_600_000;

/** `ejection`: Envoy's `outlier_detection` with `base_ejection_time`, `max_ejection_time` and `consecutive_5xx`. */
export const ejection = block({
  mode: option(choice(['enforce', 'observe']).prefault('enforce'), {
    meaning: '`observe` counts what would be ejected, and ejects nothing.',
    why: 'In a small pool a bad endpoint gets a large share of the calls.',
  }),
  consecutive_faults: option(wholeNumber({ min: 1, max: 1_000 }).prefault(5), {
    meaning: 'Faults in a row after which an endpoint gets no traffic.',
    why: 'Works at any pool size and any rate; one bad call is not an outage.',
  }),
  base: option(duration({ min: 10, max: HOUR_MS }).prefault('30s'), {
    meaning:
      'Length of the first ejection; the nth lasts n times as long. A single probing call ends it. If that call proves nothing of the endpoint, as with NOT_FOUND, the next probing call follows at once, and later ones after 1 s, 2 s, and then 4 s each. After calls that took long the wait grows up to `base`.',
    why: 'Longer than a restart with its warm-up.',
  }),
  max: option(duration({ min: 10, max: 24 * HOUR_MS }).prefault('5m'), {
    meaning: 'No ejection is longer.',
    why: 'Ten times the base.',
  }),
  jitter: option(ratio().prefault(0.1), {
    meaning: 'Each ejection is made shorter or longer by up to this share, at random.',
    why: 'Endpoints ejected together should not come back together.',
  }),
  detectors,
}).check(rules(refuseMaxBelowBase));
