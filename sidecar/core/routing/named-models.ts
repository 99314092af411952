/** Models that the calls of an upstream are told apart by, at most: each is a label of metrics and has routes of its own. */
export const MOST_MODELS = 100;

/** What a route says of models. */
interface NamesModels {
  readonly models?: readonly string[] | undefined;
  readonly split?:
    | { readonly match?: readonly { readonly model?: string | undefined }[] | undefined }
    | undefined;
}

/** The models that routes and their splits name, in their order, each once. */
export function modelsNamedBy(routes: readonly NamesModels[]): readonly string[] {
  const named = routes.flatMap(({ models = [], split }) => [
    ...models,
    ...(split?.match ?? []).flatMap(({ model }) => (model === undefined ? [] : [model])),
  ]);
  return [...new Set(named)];
}
