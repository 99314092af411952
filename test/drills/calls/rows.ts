/** The drills of calls as models make them: long, large, streamed, mixed. */

import { suiteOf } from '../decisions/drill.js';
import { DURATION_ROWS } from './durations.js';
import { LARGE_ROWS } from './large.js';
import { LOAD_REPORT_ROWS } from './load-reports.js';
import { MODEL_ROWS } from './models.js';
import { STREAM_ROWS } from './streams.js';

export const callFaults = suiteOf({
  name: 'calls',
  title: 'calls as models make them',
  rows: [...LARGE_ROWS, ...STREAM_ROWS, ...MODEL_ROWS, ...DURATION_ROWS, ...LOAD_REPORT_ROWS],
});
