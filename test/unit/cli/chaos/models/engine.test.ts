/** The engine of a drill, and the client that judges its answers: over a real gRPC server of its own. */
import assert from 'node:assert/strict';
import { Metadata, Server } from '@grpc/grpc-js';
import { vllmService } from '../../../../../proto/vllm-service.js';
import { askForTokens } from '../../../../../sidecar/cli/chaos/load/token-answer.js';
import { DrillEngine } from '../../../../../sidecar/cli/chaos/models/engine.js';
import { bindServer } from '../../../../../sidecar/cli/chaos/models/faulty-model.js';
import { clientOf } from '../../../../../sidecar/cli/chaos/protocol/call.js';
import { generateRequest, tokensFor } from '../../../../../sidecar/cli/chaos/protocol/engine.js';
import { afterTest } from '../../../../kit/mocha/after-test.js';
import { until } from '../../../../kit/process/processes.js';

const ID = 'call-engine-1';

describe('the engine of a drill', () => {
  const logged: string[] = [];
  const log = {
    began: (id: string) => void logged.push(`began ${id}`),
    ended: (id: string) => void logged.push(`ended ${id}`),
    cancelled: (id: string) => void logged.push(`cancelled ${id}`),
  };
  let isFrozen: boolean;
  /** How often it has looked whether it is frozen: once a step. */
  let looked: number;

  const start = async () => {
    logged.length = 0;
    isFrozen = false;
    looked = 0;
    const server = new Server();
    const trailers = (): Metadata => new Metadata();
    const look = (): boolean => {
      looked++;
      return isFrozen;
    };
    new DrillEngine(1, { log, isFrozen: look, trailers }).addTo(server);
    const port = await bindServer(server, '127.0.0.1:0');
    const client = clientOf(`127.0.0.1:${port}`);
    afterTest(() => {
      client.close();
      server.forceShutdown();
    });
    return client;
  };

  it('makes each token once, which its client finds right', async () => {
    const client = await start();
    const odd = await new Promise<string | undefined>((resolve, reject) =>
      askForTokens(
        client,
        { id: ID, deadlineMs: 20_000 },
        () => {},
        (error, found) => (error === null ? resolve(found) : reject(error)),
      ),
    );
    assert.equal(odd, undefined);
    assert.deepEqual(logged, [`began ${ID}`, `ended ${ID}`]);
  });

  it('goes on after the tokens that are in the prompt, under the id of the same call', async () => {
    const client = await start();
    const { path, requestSerialize, responseDeserialize } = vllmService().Generate;
    const asked = generateRequest(ID);
    const all = tokensFor(ID);
    const request = {
      ...asked,
      request_id: `${ID}~1`,
      tokenized: { input_ids: [...asked.tokenized!.input_ids!, ...all.slice(0, 50)] },
      sampling_params: { ...asked.sampling_params, max_tokens: 10 },
    };
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
    const ids: number[] = [];
    for await (const { chunk } of stream) ids.push(...(chunk?.token_ids ?? []));
    assert.deepEqual(ids, all.slice(50));
    assert.deepEqual(logged, [`began ${ID}`, `ended ${ID}`]);
  });

  it('sends nothing while it is frozen', async () => {
    const client = await start();
    let messages = 0;
    let isOver = false;
    const count = (): void => void messages++;
    askForTokens(client, { id: ID, deadlineMs: 20_000 }, count, () => {
      isOver = true;
    });
    await until('some tokens are there', () => messages > 2);
    isFrozen = true;
    const before = messages;
    const steps = looked;
    await until('it had the time of five steps', () => looked >= steps + 5);
    // One may have been on its way.
    assert.ok(messages <= before + 1, `${messages - before} messages`);
    isFrozen = false;
    await until('it is over', () => isOver);
  });
});
