/**
 * What is done about an endpoint that is about to fail, as far as its own past shows it.
 */
import type { CodeOf } from '../../names.js';
import { block, inCode, option } from '../option.js';
import { choice } from '../values.js';

const foresightBlock = block({
  mode: option(choice(['observe', 'enforce', 'off']).prefault('observe'), {
    meaning:
      '`observe`: suspicions are shown, counted and logged. `enforce`: a suspect also gets fewer calls, a fifth of its share at the highest suspicion; it is never ejected for that. `off`: nothing is kept.',
    why: 'What acts on a suspicion has to earn it first, on your own calls.',
  }),
});

type Said = CodeOf<typeof foresightBlock>;
type Active = Said & { readonly mode: 'observe' | 'enforce' };

/** `foresight`: change detectors over each endpoint's own history (decision 89). Off is undefined in code. */
export const foresight = option(
  inCode(
    foresightBlock.prefault({}),
    (said): Active | undefined => (isActive(said) ? said : undefined),
    (config) => config ?? { mode: 'off' as const },
  ),
  {
    meaning:
      'Detectors that compare each endpoint with its own past: latency of the same kinds of calls, failures, calls that pile up. They find what thresholds miss: one call in twenty that fails, a slow ramp, a part of the calls that is much slower. A change that all peers show at the same time is not held against any. `/endpoints`, the page and `outrider status` show the suspicion.',
    why: 'It costs a write into an array for each call.',
  },
);

function isActive(said: Said): said is Active {
  return said.mode !== 'off';
}
