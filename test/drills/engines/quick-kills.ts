/** Fake engines in this process that are killed again and again, at any byte of their answers, behind a sidecar that is a process. */
import { seededChance } from '../../../services/seeded-chance.js';
import { EngineBench } from '../../kit/engines/engine-bench.js';
import { EngineStream } from '../../kit/engines/engine-client.js';
import type { Death } from '../../kit/engines/killable-engine.js';
import { aGenerateRequest, tokensFor } from '../../kit/engines/scripted-engine.js';
import type { TestClient } from '../../kit/service/model-server.js';

const ENGINES = 4;
/** Answers at once. */
const CLIENTS = 12;
const MOST_TOKENS = 250;
/** Of one that is killed: at most so many bytes of answers later. */
const MOST_BYTES = 4_000;
/** Between two looks whether another engine may be killed, ms. */
const EVERY_MS = 5;
/** One that sends too little to die by then is spared, ms: its answers are over. */
const DIES_WITHIN_MS = 200;
/** One death in so many is that of a core, behind a front that lives. */
const CORE_DEATHS = 12;
/** So is one in so many of the others no death: the engine gives its answers up. */
const STOPS = 12;
/** An answer that takes longer is given up, and counts as lost, ms. */
const LONGEST_MS = 60_000;
/** So many of the requests ask for tokens that are drawn by chance. The fake engines make the same ones all the same. */
const DRAWN = 0.25;

export interface QuickKills {
  kills: number;
  answers: number;
  /** Answers that another engine went on with, each time. */
  resumed: number;
  /** Answers that say that they may have other tokens than one engine would have made. */
  approximate: number;
  /** Ended well, with tokens missing, repeated or changed. */
  wrong: number;
  /** Taken for requests that end engines. */
  poison: number;
  /** Ended with another error. */
  lost: number;
  /** Why, and how often. */
  readonly problems: Map<string, number>;
}

/** @param say told of each tenth of the kills */
export async function killQuickly(
  kills: number,
  seed: number,
  say: (text: string) => void = () => {},
): Promise<QuickKills> {
  const random = seededChance(seed);
  const bench = await EngineBench.start({ engines: ENGINES, seed, route: { resume: 'approximate' } });
  const { engines, client } = bench;
  const result: QuickKills = {
    kills: 0,
    answers: 0,
    resumed: 0,
    approximate: 0,
    wrong: 0,
    poison: 0,
    lost: 0,
    problems: new Map(),
  };
  try {
    await showEnd(client);
    const isOver = (): boolean => bench.kills >= kills;
    let dueMs = 0;
    const killer = setInterval(() => {
      const doomed = engines.find(({ isKillDue }) => isKillDue);
      // One at a time: an answer needs another engine to go on with.
      if (doomed !== undefined && performance.now() < dueMs + DIES_WITHIN_MS) return;
      doomed?.spare();
      const able = engines.filter((engine) => engine.running > 0);
      if (able.length === 0 || isOver()) return;
      const engine = able[Math.floor(random() * able.length)]!;
      dueMs = performance.now();
      engine.killAfter(1 + Math.floor(random() * MOST_BYTES), deathBy(random));
    }, EVERY_MS);
    let asked = 0;
    const progress = setInterval(() => say(`${bench.kills} kills`), 10_000);
    const loops = Array.from({ length: CLIENTS }, async () => {
      while (!isOver()) await judge(ask(client, ++asked, random), result);
    });
    await Promise.all(loops);
    clearInterval(killer);
    clearInterval(progress);
    result.kills = bench.kills;
    result.resumed = await bench.resumed();
  } finally {
    await bench.close();
  }
  return result;
}

function deathBy(random: () => number): Death {
  if (random() * CORE_DEATHS < 1) return 'core';
  if (random() * STOPS < 1) return 'stopped';
  return random() < 0.5 ? 'closed' : 'reset';
}

/** The sidecar learns by which token the model ends answers: an engine that dies right behind it is not to be followed by another. */
async function showEnd(client: TestClient): Promise<void> {
  for (let number = 1; ; number++) {
    const request = aGenerateRequest({
      request_id: `end-${number}`,
      tokenized: { input_ids: [number] },
      sampling_params: { temperature: 1, max_tokens: MOST_TOKENS },
    });
    if (tokensFor(request).at(-1)!.finish !== 'stop') continue;
    await new EngineStream(client, request).ended;
    return;
  }
}

/** No two prompts are the same: a request that ended engines twice is refused from then on. */
function ask(client: TestClient, number: number, random: () => number): EngineStream {
  const input_ids = [number, ...Array.from({ length: Math.floor(random() * 40) }, (_, i) => 3 + i)];
  const max_tokens = 1 + Math.floor(random() * MOST_TOKENS);
  const stream = new EngineStream(
    client,
    aGenerateRequest({
      request_id: `quick-${number}`,
      tokenized: { input_ids },
      sampling_params: {
        ...{ temperature: random() < DRAWN ? 0.7 : 0, max_tokens, ignore_eos: random() < 0.5 },
        ...(random() < 0.2 && { logprobs: 1 }),
        ...(random() < 0.2 && { min_tokens: Math.floor(max_tokens / 2) }),
      },
    }),
  );
  return stream;
}

async function judge(stream: EngineStream, result: QuickKills): Promise<void> {
  const timer = setTimeout(() => stream.stream.cancel(), LONGEST_MS);
  const error = await stream.ended;
  clearTimeout(timer);
  result.answers++;
  const isApproximate = stream.resumed !== '';
  if (isApproximate) result.approximate++;
  const isExact = stream.request.sampling_params!.temperature === 0;
  const fault = (await stream.fault()) || (isApproximate && isExact ? 'says that it is approximate' : '');
  if (fault === '') return;
  if (error?.metadata.get('outrider-reason')[0] === 'poison') {
    result.poison++;
    return;
  }
  if (error === undefined) result.wrong++;
  else result.lost++;
  const why = `${error === undefined ? 'wrong' : 'lost'}: ${fault.replaceAll(/127\.0\.0\.1:\d+/g, 'one')}`;
  result.problems.set(why, (result.problems.get(why) ?? 0) + 1);
}

/** Answers that may be taken for such requests: the first deaths of engines in an hour look as if a request had made them. */
const MOST_POISON = 4;

/** No answer is wrong, and none is lost. */
export const isKept = ({ wrong, lost, poison }: QuickKills): boolean =>
  wrong === 0 && lost === 0 && poison <= MOST_POISON;

export function quickTable(result: QuickKills): string {
  const { kills, answers, resumed, approximate, wrong, lost, poison, problems } = result;
  const rows = [
    ['kills', kills],
    ['answers', answers],
    ['resumptions', resumed],
    ['approximate', approximate],
    ['wrong answers', wrong],
    ['answers lost', lost],
    ['poison', poison],
  ] as const;
  const lines = rows.map(([name, value]) => `${name.padEnd(14)}${String(value).padStart(8)}`);
  const why = [...problems].map(([problem, count]) => `${count} × ${problem}`);
  return `${[...lines, ...why].join('\n')}\n`;
}
