/**
 * A fake engine that speaks the gRPC of vLLM, SGLang or TensorRT-LLM, to try what a mesh does when one dies, without Python or a GPU:
 * `node dist/services/engine/main.js --listen 127.0.0.1:9000`.
 *
 * SIGUSR1 freezes its core: health stays SERVING, and no token comes. SIGUSR2 ends its core: calls end with INTERNAL, and health is
 * NOT_SERVING until the process is started anew. SIGTERM ends all answers with `abort` under the status OK, and then the process. All of
 * that is as vLLM behaves.
 */

import { parseArgs } from 'node:util';
import { seededChance } from '../seeded-chance.js';
import { PROTOCOLS } from './dialects.js';
import { EngineCore } from './engine-core.js';
import { startEngine } from './server.js';

const { values } = parseArgs({
  options: {
    listen: { type: 'string' },
    protocol: { type: 'string', default: 'vllm' },
    /** Time between two steps, ms. */
    step: { type: 'string', default: '5' },
    /** Of the chance by which tokens are put into messages. */
    seed: { type: 'string', default: '1' },
    slots: { type: 'string', default: '8' },
    /** Until it serves, ms. */
    warmup: { type: 'string', default: '0' },
    /** A prompt with this token kills it. */
    killer: { type: 'string' },
  },
});

/** In which the last messages go out, once it is told to stop, ms. */
const LAST_MESSAGES_MS = 100;

const protocol = PROTOCOLS.find((name) => name === values.protocol);
if (values.listen === undefined || protocol === undefined) {
  process.stderr.write(
    'usage: main.js --listen HOST:PORT [--protocol vllm|sglang|trtllm] [--step MS] [--seed N] [--slots N] [--warmup MS] [--killer TOKEN]\n',
  );
  process.exit(2);
}

const core = new EngineCore({
  slots: Number(values.slots),
  random: seededChance(Number(values.seed)),
  killer: values.killer === undefined ? undefined : Number(values.killer),
  crash: () => process.abort(),
});
process.on('SIGUSR1', () => {
  core.isFrozen = true;
});
process.on('SIGUSR2', () => core.die());
process.on('SIGTERM', () => {
  core.giveUp();
  core.isDead = true;
  setTimeout(() => process.exit(0), LAST_MESSAGES_MS);
});
setInterval(() => core.step(), Number(values.step));
await startEngine(core, { listen: values.listen, warmupMs: Number(values.warmup), protocol });
