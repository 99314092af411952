import type { Arm } from './arm.js';
import { ENVOY, envoyArm } from './envoy.js';
import { envoyVariant } from './envoy-settings.js';
import { OUTRIDER } from './outrider.js';
import { STOCK_ARMS } from './stock.js';

/**
 * All arms, in the order in which they run and stand in reports. The one that is judged comes first, so that a command that
 * is ended early has shown it.
 */
export const ARMS: readonly Arm[] = [OUTRIDER, ...STOCK_ARMS, ENVOY];

/** All arms, with another setting of Envoy in the place of its best one. @throws CommandFailure(2) for a name that is none. */
export function withEnvoyVariant(name: string): readonly Arm[] {
  const other = envoyArm(envoyVariant(name));
  return ARMS.map((arm) => (arm === ENVOY ? other : arm));
}
