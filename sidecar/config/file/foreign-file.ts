/** What a YAML file is that is no configuration of this program, by what stands at its top. */
import { mapping } from '../options/found.js';

/** For a file of Kubernetes; also said where it has several documents. */
export const KUBERNETES =
  'found an object of Kubernetes; "outrider inject FILE" adds the sidecar to its pods, docs/DEPLOY.md says where its own file goes';

/** Keys that only a model.yaml has at its top; one of them beside none of a configuration tells it. */
const CARD_KEYS = ['golden', 'sha256', 'labels', 'batching', 'sequence', 'properties'];

/** Which file of another program was given, and what to do with it; undefined: none that is known. */
export function foreignFile(value: unknown): string | undefined {
  const file = mapping(value);
  const has = (key: string): boolean => Object.hasOwn(file, key);
  if (typeof file['apiVersion'] === 'string' && typeof file['kind'] === 'string') return KUBERNETES;
  if (has('static_resources') || has('dynamic_resources'))
    return 'found a configuration of Envoy; docs/MIGRATE.md says what its parts are called here';
  if (has('$schema') && has('properties')) return 'found a JSON Schema, which editors check such files by';
  const services = Object.values(mapping(file['services']));
  const isCompose = (service: unknown): boolean => ['image', 'build'].some((key) => key in mapping(service));
  if (services.length > 0 && services.every(isCompose))
    return 'found a file of Docker Compose; expected a mesh file, whose services have models or command';
  return undefined;
}

/** Names the command for a model.yaml that was given as a configuration; undefined for anything else. */
export function cardHint(value: unknown): string | undefined {
  if (!CARD_KEYS.some((key) => Object.hasOwn(mapping(value), key))) return undefined;
  return 'found a model.yaml, which lies beside a model; expected a mesh file with `services: { NAME: { models: DIR } }`, where DIR/NAME/VERSION/model.yaml is this file: "outrider init" writes one, "outrider serve --models DIR" serves it alone';
}
