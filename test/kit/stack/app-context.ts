import type { AppContext } from '../../../sidecar/app/context.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import { seeded } from '../time/seeded-random.js';
import { aConfig } from './sidecar-in-memory.js';
import { silentLogger } from './silent-logger.js';
import { Stack } from './stack.js';

/** What the parts of a sidecar share, on the clock and the network in memory of `stack`. */
export function anAppContext(stack = new Stack()): AppContext {
  const { clock, context: dataPlane } = stack;
  const deps = { clock, timers: clock, random: seeded(1), logger: silentLogger, version: '0', env: {} };
  return { deps, dataPlane, settings: DEFAULT_LOCAL_SETTINGS, limits: aConfig().limits };
}
