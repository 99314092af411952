/** Calls of language-model engines. */
import type { Dice } from '../dice.js';
import type { Feature } from './features.js';
import { type CallPlan, PROMPT } from './plan.js';

/** Of a call of Generate: how long its prompt is, and whether its tokens are drawn by chance. */
export function generateOptions(
  dice: Dice,
  has: (feature: Feature) => boolean,
): Pick<CallPlan, 'promptTokens' | 'isDrawn'> {
  return {
    ...(has('prefix') ? { promptTokens: dice.of('prompt tokens').pick([PROMPT, 40, 100, 400]) } : {}),
    ...(has('drawn-answers') && dice.of('drawn').chance(0.6) ? { isDrawn: true } : {}),
  };
}
