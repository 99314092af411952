/**
 * The long run of the engine's fuzzer: `node dist/test/bench/fuzz.js [--seed N] [--frames N] [--sessions N]`.
 *
 * Sessions one after another, each from its own seed, until so many frames have been given to the engine. Prints what
 * was done; exits 1 at the first thing that does not hold, with the seed that shows it. One session alone:
 * `--seed N --sessions 1`.
 */
import { type Figures, noFigures, Session } from '../kit/http2/fuzz/session.js';
import { parseCommandLine, wholeNumber } from '../kit/process/command-line.js';

const STEPS = 400;
const EVERY_MS = 2000;

const OPTION = { type: 'string' } as const;

function options(args: readonly string[]): { seed: number; frames: number; sessions: number } {
  const { values } = parseCommandLine(args, { seed: OPTION, frames: OPTION, sessions: OPTION });
  const { seed = '1', frames = '1000000', sessions } = values;
  return {
    seed: wholeNumber('--seed', seed),
    frames: wholeNumber('--frames', frames),
    sessions: sessions === undefined ? Number.POSITIVE_INFINITY : wholeNumber('--sessions', sessions),
  };
}

function line(figures: Figures, peakMiB: number): string {
  const n = (value: number): string => value.toLocaleString('en');
  return (
    `${n(figures.framesIn)} frames in, ${n(figures.framesOut)} out, ${n(figures.sessions)} sessions, ${n(figures.streams)} streams, ` +
    `${n(figures.streamErrors)} stream errors, ${n(figures.canaries)} canaries, ${n(figures.connectionErrors)} connection errors, ` +
    `${n(figures.limits)} limits, ${(figures.bytesIn / 2 ** 20).toFixed(0)} MiB in, RSS up to ${peakMiB.toFixed(0)} MiB`
  );
}

function main(): number {
  const { seed, frames, sessions } = options(process.argv.slice(2));
  const figures = noFigures();
  const startMs = performance.now();
  let saidMs = startMs;
  let peakMiB = 0;
  for (let done = 0; done < sessions && figures.framesIn < frames; done++) {
    try {
      new Session(seed + done, figures).run(STEPS);
    } catch (error) {
      console.error(error);
      console.error(`fuzz: failed; again with --seed ${seed + done} --sessions 1`);
      return 1;
    }
    const nowMs = performance.now();
    if (nowMs - saidMs < EVERY_MS) continue;
    saidMs = nowMs;
    peakMiB = Math.max(peakMiB, process.memoryUsage().rss / 2 ** 20);
    if (process.stdout.isTTY) process.stdout.write(`\r${line(figures, peakMiB)}\x1b[K`);
  }
  peakMiB = Math.max(peakMiB, process.memoryUsage().rss / 2 ** 20);
  if (process.stdout.isTTY) process.stdout.write('\n');
  console.log(
    `fuzz: nothing found in ${((performance.now() - startMs) / 1000).toFixed(1)} s: ${line(figures, peakMiB)}`,
  );
  return 0;
}

process.exitCode = main();
