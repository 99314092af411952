/** Why a feature could not see a call. */
export type SizeReason = 'requestTooLarge' | 'responseTooLarge' | 'memory';

/**
 * Calls that a feature could not see for their size, by reason: a request or a response beyond what may be kept, or no
 * room in the memory budget.
 */
export class SizeCounts implements Record<SizeReason, number> {
  requestTooLarge = 0;
  responseTooLarge = 0;
  memory = 0;
}
