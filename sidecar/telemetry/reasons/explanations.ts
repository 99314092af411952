import type { LocalReplyName } from '../../core/outcome/local-reply-reason.js';
import { ACCESS_AND_MODELS } from './access-and-models.js';
import { ENDPOINTS } from './endpoints.js';
import type { ExplanationsOf } from './explanation.js';
import { TIME_AND_LOAD } from './time-and-load.js';

/**
 * The explanation of every `outrider-reason`, in the order of the page. A reason without one does not compile; the unit
 * test finds one that is left over.
 */
export const EXPLANATIONS: ExplanationsOf<LocalReplyName> = {
  ...TIME_AND_LOAD,
  ...ENDPOINTS,
  ...ACCESS_AND_MODELS,
};
