/** How a metric family is made. */

import type { Family, Sample } from '../admin/view.js';

export function counter(name: string, help: string, samples: Sample[]): Family {
  return { kind: 'counter', name, help, samples };
}

export function gauge(name: string, help: string, samples: Sample[]): Family {
  return { kind: 'gauge', name, help, samples };
}
