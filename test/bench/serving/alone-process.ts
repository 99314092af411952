/**
 * Program: a model in this process with no server around it: `node alone-process.js NAME MS`. Prints what a request costs as
 * JSON (`AloneFigures`): no server of this runtime answers a single request for less.
 */

import { join } from 'node:path';
import type { Tensor } from '../../../proto/datatypes.js';
import { decodeRaw } from '../../../proto/tensors.js';
import { ModelSession } from '../../../services/model-server/network/session.js';
import { openModel, requestOf } from '../../kit/service/model-context.js';
import { SUBJECTS } from '../models/subjects.js';
import { type AloneFigures, type ServedModel, servedModel } from './models.js';

const ROUNDS = 5;

/** One request, and nothing else. */
async function runOf(model: ServedModel): Promise<() => Promise<unknown>> {
  const { name, datatype, shape, raw } = model.input();
  const count = shape.reduce((product, size) => product * size, 1);
  const tensor: Tensor = { datatype, dims: [...shape], data: decodeRaw(raw, datatype, count, name) };
  if (model.network !== undefined) {
    const session = await ModelSession.load(join(model.directory, model.network));
    const wanted = session.outputs.map((_, i) => i);
    return () => session.run([tensor], wanted);
  }
  const subject = SUBJECTS.find((one) => one.name === model.name)!;
  const opened = await openModel(await subject.open(), join(model.directory, model.name, '1'));
  const request = requestOf({ [name]: tensor });
  return async () => {
    const [answer] = await opened.code.execute!([request]);
    if (answer instanceof Error) throw answer;
  };
}

async function measure(model: ServedModel, roundMs: number): Promise<AloneFigures> {
  const run = await runOf(model);
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
  return { cpuUs: rounds.sort((a, b) => a - b)[ROUNDS >> 1]!, rssMb: process.memoryUsage.rss() / 1e6 };
}

const [name = '', roundMs = '200'] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await measure(servedModel(name), Number(roundMs))));
process.exit();
