import type { Arm } from './arm.js';
import { ENVOY } from './envoy.js';
import { OUTRIDER } from './outrider.js';
import { STOCK_ARMS } from './stock.js';

/**
 * All arms, in the order in which they run and stand in reports. The one that is judged comes first, so that a command that
 * is ended early has shown it.
 */
export const ARMS: readonly Arm[] = [OUTRIDER, ...STOCK_ARMS, ENVOY];
