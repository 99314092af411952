/** Recorded streams as small text files: a line of JSON that says what was recorded, then a line for each second. */
import { readFileSync, writeFileSync } from 'node:fs';

/** What happened in one second at one endpoint. */
export interface Second {
  /** Latencies of the calls that ended well in it, ms. */
  readonly latencies: readonly number[];
  /** Calls that failed. */
  readonly faults: number;
  /** Calls that waited or ran at its end. */
  readonly queue: number;
  /** Resident memory of the process, MiB; 0: it was gone. */
  readonly residentMib: number;
}

/** A recorded stream. */
export interface Stream {
  readonly name: string;
  /** One sentence for the table. */
  readonly what: string;
  /** Second in which the fault begins; absent: it is healthy all along. */
  readonly faultFrom?: number;
  readonly seconds: readonly Second[];
}

/** Latencies are kept in hundredths of a millisecond, in base 36. */
const PER_MS = 100;
const BASE = 36;

export function writeStream(file: string, { seconds, ...header }: Stream): void {
  const lines = seconds.map(({ latencies, faults, queue, residentMib }) =>
    [
      residentMib.toFixed(1),
      queue,
      faults,
      ...latencies.map((ms) => Math.round(ms * PER_MS).toString(BASE)),
    ].join(' '),
  );
  writeFileSync(file, `${[JSON.stringify(header), ...lines].join('\n')}\n`);
}

export function readStream(file: string): Stream {
  const [header = '', ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
  const seconds = lines.map((line) => {
    const [residentMib = 0, queue = 0, faults = 0] = line.split(' ', 3).map(Number);
    const latencies = line
      .split(' ')
      .slice(3)
      .map((text) => Number.parseInt(text, BASE) / PER_MS);
    return { residentMib, queue, faults, latencies };
  });
  return { ...(JSON.parse(header) as Omit<Stream, 'seconds'>), seconds };
}
