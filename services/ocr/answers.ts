import type { ModelAnswer, ModelRequest } from '../model-server/code/model-code.js';

/** Answers requests that a model takes one by one: what one of them throws fails that one alone. */
export function eachAlone(
  requests: readonly ModelRequest[],
  answer: (request: ModelRequest) => Promise<ModelAnswer>,
): Promise<(ModelAnswer | Error)[]> {
  return Promise.all(
    requests.map((request) =>
      answer(request).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error)))),
    ),
  );
}
