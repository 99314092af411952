import assert from 'node:assert/strict';
import { byProcess, coursesOf, type Sample, sampleOf } from './gauges.js';

const PAGE = `# HELP process_resident_memory_bytes Resident memory.
process_resident_memory_bytes 50000000
process_heap_bytes 20000000
process_open_fds 30
process_active_resources{type="Timeout"} 7
process_active_resources{type="TCPSocketWrap"} 9
process_start_time_seconds 1000
`;

/** A sample each 10 s; `rssMb` says what it holds at the nth. */
const samples = (count: number, rssMb: (n: number) => number, startedS = 1): Sample[] =>
  Array.from({ length: count }, (_, n) => ({
    ...{ atMs: n * 10_000, startedS },
    values: { rssMb: rssMb(n), heapMb: 20, descriptors: 30, timers: 7, series: 500 },
  }));

const flat = (of: readonly Sample[], fromMs = 0) =>
  Object.fromEntries(coursesOf(of, fromMs).map(({ gauge, isFlat }) => [gauge, isFlat]));

describe('what a soak holds', () => {
  it('is read from the page of metrics', () => {
    assert.deepEqual(sampleOf(PAGE, 5), {
      ...{ atMs: 5, startedS: 1000 },
      values: { rssMb: 50, heapMb: 20, descriptors: 30, timers: 7, series: 6 },
    });
  });

  it('is flat where it goes up and down', () =>
    assert.equal(flat(samples(60, (n) => 100 + 10 * (n % 2)))['rssMb'], true));

  it('grows where it leaks, however slowly', () =>
    assert.equal(flat(samples(360, (n) => 100 + n * 0.1))['rssMb'], false));

  it('is not judged by what grows at first', () => {
    const grown = samples(120, (n) => Math.min(100, 50 + n));
    assert.equal(flat(grown)['rssMb'], false);
    assert.equal(flat(grown, 300_000)['rssMb'], true);
  });

  it('is not judged of a process that lived for a short time, nor over two processes', () => {
    const two = [...samples(60, () => 50, 1), ...samples(11, () => 500, 2)];
    assert.deepEqual(
      byProcess(two).map((of) => coursesOf(of, 0).length > 0),
      [true, false],
    );
  });
});
