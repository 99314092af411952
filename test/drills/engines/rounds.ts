/** Faults of engines under load, one after the other, and what their clients noticed. */
import { vllmService } from '../../../proto/vllm-service.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin, type Mesh, reportOf, type SidecarFacts, type UpFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { TestClient } from '../../kit/service/model-server.js';
import { ANSWER_TOKENS, AnswerSource, newTally, type Tally, type TimedAnswer } from './answers.js';
import { type Aim, EngineProcesses, type Fault } from './engine-processes.js';
import { type Engine, meshFile, SLOTS } from './mesh-file.js';

/** What befell the answers that were under way, and those that began while the engine was away. */
export interface Row extends Tally {
  readonly name: string;
  strikes: number;
  /** Answers that another engine went on with. */
  resumed: number;
  /** Of the answers that were cut: the longest time without a message, ms. */
  readonly gapsMs: number[];
}

export const newRow = (name: string): Row => ({ ...newTally(), name, strikes: 0, resumed: 0, gapsMs: [] });

/** Answers that are under way as an engine fails: few enough that none waits in a queue. */
const IN_FLIGHT = SLOTS;
/** Of an answer that is not to end by itself. */
const LONG_TOKENS = 3_000;
/** Answers that go on while an engine starts again. */
const MEANWHILE = 2;
const READY_LIMIT_MS = 600_000;
const ANSWER_LIMIT_MS = 60_000;

export class EngineDrill {
  private readonly engines: readonly EngineProcesses[];
  private readonly source: AnswerSource;
  private constructor(
    private readonly mesh: Mesh,
    private readonly facts: UpFacts,
    private readonly client: TestClient,
    isReal: boolean,
  ) {
    const replicas = facts.sidecars.filter(({ role }) => role === 'replica');
    this.engines = replicas.map((sidecar) => new EngineProcesses(sidecar, isReal));
    this.source = new AnswerSource(client);
  }

  /** Resolves once both engines serve. */
  static async start(start: (file: string) => Mesh, engine: Engine, home?: string): Promise<EngineDrill> {
    const mesh = start(meshFile(engine, home));
    try {
      const facts = await mesh.ready(READY_LIMIT_MS);
      return new EngineDrill(mesh, facts, new TestClient(facts.call['chat']!), engine === 'vllm');
    } catch (error) {
      await mesh.discard();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.client.client.close();
    await this.mesh.discard();
  }

  get target(): string {
    return this.facts.call['chat']!;
  }

  async undisturbed(): Promise<Row> {
    const row = newRow('undisturbed');
    await this.source.learn();
    const answers = await this.answersUnderWay();
    for (const answer of answers) await this.source.judge(answer, row);
    row.gapsMs.push(...answers.map((answer) => answer.gapMs()));
    return row;
  }

  /** An engine fails while it and another one make answers; then it starts again, under other answers. */
  async strike(fault: Fault, row: Row, say: (text: string) => void = () => {}): Promise<void> {
    const resumedBefore = await this.resumed();
    const aims = new Map<EngineProcesses, Aim>();
    for (const each of this.engines) aims.set(each, await each.aim(fault));
    const answers = await this.answersUnderWay();
    const engine = await this.busiest();
    const { front, strike } = aims.get(engine)!;
    strike();
    const struckMs = performance.now();
    row.strikes++;
    for (const answer of answers) await within(ANSWER_LIMIT_MS, this.source.judge(answer, row), answer);
    const resumed = (await this.resumed()) - resumedBefore;
    row.resumed += resumed;
    if (resumed === 0) row.problems.add('a fault that cut no answer shows nothing');
    // Those that were cut have the longest gaps.
    const gaps = answers.map((answer) => answer.gapMs(struckMs)).sort((a, b) => b - a);
    row.gapsMs.push(...gaps.slice(0, resumed));
    say(`${resumed} of ${answers.length} answers went on elsewhere, ${row.lost} lost, ${row.wrong} wrong`);
    let isBack = false;
    const meanwhile = Array.from({ length: MEANWHILE }, async () => {
      do {
        const answer = this.source.ask();
        await within(ANSWER_LIMIT_MS, this.source.judge(answer, row), answer);
      } while (!isBack);
    });
    if (fault === 'core-frozen') await engine.end(front);
    try {
      await engine.restarted(front);
      say('the engine serves again');
      await until('all get calls again', () => this.areAllEligible(), READY_LIMIT_MS);
      say('and gets calls again');
    } finally {
      isBack = true;
    }
    await Promise.all(meanwhile);
  }

  async abort(): Promise<Row> {
    const row = newRow('aborted');
    const answers = await this.answersUnderWay(LONG_TOKENS);
    const { Abort } = vllmService();
    for (const answer of answers) {
      const askedMs = performance.now();
      await this.client.call(Abort, { request_ids: [answer.request.request_id!] });
      const error = await answer.ended;
      row.answers++;
      row.strikes++;
      row.gapsMs.push(performance.now() - askedMs);
      if (error !== undefined) row.lost++;
      else if (answer.finishReason !== 'abort') row.wrong++;
      if (error !== undefined || answer.finishReason !== 'abort')
        row.problems.add(`abort: ${error?.message ?? answer.finishReason}`);
    }
    return row;
  }

  /** Clients go away; the engines have to notice: others find their slots free. */
  async cancel(): Promise<Row> {
    const row = newRow('cancelled');
    const answers = await this.answersUnderWay(LONG_TOKENS);
    const cancelledMs = performance.now();
    for (const answer of answers) answer.stream.cancel();
    row.strikes += answers.length;
    const { GetLoads } = vllmService();
    const isIdle = async (): Promise<boolean> => {
      const all = await Promise.all([this.client.call(GetLoads, {}), this.client.call(GetLoads, {})]);
      return all.every((loads) => runningIn(loads) === 0);
    };
    await until('both engines are idle', isIdle, 10_000).catch(() => row.problems.add('engines stay busy'));
    row.gapsMs.push(performance.now() - cancelledMs);
    const after = this.source.ask();
    await this.source.judge(after, row);
    return row;
  }

  /** Each has brought some tokens, and none is over: one of a slow engine may begin when the others end. */
  private async answersUnderWay(maxTokens?: number): Promise<TimedAnswer[]> {
    for (;;) {
      const answers = Array.from({ length: IN_FLIGHT }, () => this.source.ask(undefined, maxTokens));
      const least = 5 + Math.floor(Math.random() * 60);
      const areUnderWay = (): boolean => answers.every(({ ids }) => ids.length >= least);
      await until('all are under way', areUnderWay, ANSWER_LIMIT_MS);
      if (answers.every(({ ids }) => ids.length < ANSWER_TOKENS / 2)) return answers;
      for (const { ended } of answers) await ended;
    }
  }

  /** The engine that makes most of the answers. */
  private async busiest(): Promise<EngineProcesses> {
    const { endpoints } = await reportOf(this.caller.admin);
    const [most] = endpoints.toSorted((a, b) => b.inFlight - a.inFlight);
    const engine = this.engines.find(({ sidecar }) => sidecar.inbound === most?.address);
    if (engine === undefined) throw new Error(`no replica listens at ${most?.address}`);
    return engine;
  }

  private get caller(): SidecarFacts {
    return this.facts.sidecars.find(({ role }) => role === 'caller')!;
  }

  /** In a row of two deaths, the second is not to be one of both engines. */
  private async areAllEligible(): Promise<boolean> {
    const { endpoints } = await reportOf(this.caller.admin);
    return endpoints.every(({ state }) => state === 'eligible');
  }

  private async resumed(): Promise<number> {
    const { body } = await admin(this.caller.admin, '/metrics');
    return sumOfSamples(body, 'outrider_streams_resumed_total');
  }
}

function runningIn(loads: object): number {
  const { loads: all = [] } = loads as { readonly loads?: readonly { readonly num_running_reqs?: number }[] };
  return all.reduce((sum, each) => sum + (each.num_running_reqs ?? 0), 0);
}

/** A client that waits for ever is cancelled, and counts as lost. */
async function within(limitMs: number, judged: Promise<void>, answer: TimedAnswer): Promise<void> {
  const timer = setTimeout(() => answer.stream.cancel(), limitMs);
  await judged;
  clearTimeout(timer);
}
