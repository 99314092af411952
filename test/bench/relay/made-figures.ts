import type { Figures } from './measure.js';

/** The figures of a run in which all went well, but for its CPU time: for tests of what is made of figures. */
export const MADE_FIGURES: Omit<Figures, 'cpuUs'> = {
  perSecond: 1,
  p50Us: 1,
  p99Us: 1,
  rssMb: 1,
  loadCpuUs: 1,
  readyMs: 1,
  calls: 10,
  problem: '',
};
