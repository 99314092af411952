/**
 * Program: a small model that answers requests over IPC, one after another, and goes wrong in one of several ways from a request on.
 * `node model-process.js FAULT FROM_REQUEST`. A request is the factor on its usual amount of work.
 */
import { answerRequests } from '../../kit/process/asked-process.js';

/** Rounds of arithmetic of a usual request: some milliseconds on one core. */
const ROUNDS = 1_200_000;

const [fault = 'healthy', from = '0'] = process.argv.slice(2);
const fromRequest = Number(from);
let requests = 0;

/** What a leak keeps, and what a cache that is too large for the heap holds for a while. */
const kept: object[] = [];
/** What a request scans: grows with every request of a model that never tidies up. */
const seen: number[] = [];

function compute(factor: number): number {
  let x = 1;
  for (let i = 0; i < ROUNDS * factor; i++) x = (Math.imul(x, 1_103_515_245) + 12_345) | 0;
  return x;
}

/** Many small objects, as a parsed document is; `kib` on the heap, about. */
function garbage(kib: number): object[] {
  return Array.from({ length: kib * 12 }, (_, i) => ({ i, text: `${i}`, next: [i] }));
}

/** By name, what goes wrong, with the number of requests since it began. */
const FAULTS: Readonly<Record<string, (since: number) => void>> = {
  healthy: () => {},
  leak: () => void kept.push(garbage(40)),
  // A cache whose entries live ever longer, until collections find little to free.
  'gc-thrash': (since) => {
    kept.push(garbage(60));
    const limit = Math.min(20 + since * 0.75, 1_450);
    while (kept.length > limit) kept.shift();
  },
  creep: () => {
    for (let i = 0; i < 1_500; i++) seen.push(requests + i);
    let sum = 0;
    for (const each of seen) sum += each;
    if (sum < 0) throw new Error('unreachable');
  },
  errors: (since) => {
    if (since % 20 === 7) throw new Error('a table of the model is damaged');
  },
};

answerRequests<number>((factor) => {
  requests += 1;
  if (requests > fromRequest) (FAULTS[fault] ?? FAULTS['healthy']!)(requests - fromRequest);
  return compute(factor);
});
