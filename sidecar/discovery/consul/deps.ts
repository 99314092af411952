/** What every part of the Consul side is given. */

import type { ConsulConfig } from '../../config/model.js';
import type { Logger } from '../../runtime/log/logger.js';
import type { Random } from '../../runtime/random.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timers } from '../../runtime/time/timers.js';

export interface ConsulDeps {
  readonly config: ConsulConfig;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}
