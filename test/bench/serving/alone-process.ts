/**
 * Program: a model in this process with no server around it: `node alone-process.js NAME MS ROWS`. Prints what a request costs as
 * JSON (`AloneFigures`), alone and as one of ROWS in a run.
 */

import { join } from 'node:path';
import type { Tensor } from '../../../proto/datatypes.js';
import { decodeRaw } from '../../../proto/tensors.js';
import { ModelSession } from '../../../services/model-server/network/session.js';
import { combine } from '../../../services/model-server/runs/stacking.js';
import { openModel, requestOf } from '../../kit/service/model-context.js';
import { SUBJECTS } from '../models/subjects.js';
import { type ServedModel, servedModel } from './models.js';

const ROUNDS = 5;

/** What a request costs with no server around the model. */
export interface AloneFigures {
  readonly cpuUs: number;
  /** CPU time of a run of several requests, for each of them. */
  readonly togetherUs: number;
  readonly rssMb: number;
}

/** A run of so many requests, and nothing else. */
type Runs = (requests: number) => () => Promise<unknown>;

async function runsOf(model: ServedModel): Promise<Runs> {
  const { name, datatype, shape, raw } = model.input();
  const count = shape.reduce((product, size) => product * size, 1);
  const tensor: Tensor = { datatype, dims: [...shape], data: decodeRaw(raw, datatype, count, name) };
  if (!model.isCode) {
    const session = await ModelSession.load(model.network);
    const wanted = session.outputs.map((_, i) => i);
    return (requests) => {
      const inputs = combine(Array.from({ length: requests }, () => ({ inputs: [tensor] })));
      return () => session.run(inputs, wanted);
    };
  }
  const subject = SUBJECTS.find((one) => one.name === model.name)!;
  const opened = await openModel(await subject.open(), join(model.directory, model.name, '1'));
  return (requests) => {
    const given = Array.from({ length: requests }, () => requestOf({ [name]: tensor }));
    return async () => {
      for (const answer of await opened.code.execute!(given)) if (answer instanceof Error) throw answer;
    };
  };
}

/** CPU time of a run, µs: the median of some rounds. */
async function costOf(run: () => Promise<unknown>, roundMs: number): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const start = process.cpuUsage();
    let runs = 0;
    let tookUs = 0;
    while (tookUs < roundMs * 1000) {
      await run();
      runs += 1;
      const { user, system } = process.cpuUsage(start);
      tookUs = user + system;
    }
    // The first one warms up.
    if (round > 0) rounds.push(tookUs / runs);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

async function measure(model: ServedModel, roundMs: number, rows: number): Promise<AloneFigures> {
  const runs = await runsOf(model);
  const cpuUs = await costOf(runs(1), roundMs);
  const togetherUs = (await costOf(runs(rows), roundMs)) / rows;
  return { cpuUs, togetherUs, rssMb: process.memoryUsage.rss() / 1e6 };
}

const [name = '', roundMs = '200', rows = '32'] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await measure(servedModel(name), Number(roundMs), Number(rows))));
process.exit();
