/**
 * How an endpoint that answers badly is found out.
 */
import type { CodeOf } from '../../names.js';
import { fromFile } from '../../names-codec.js';
import { block, blockAs, inCode, option } from '../option.js';
import { choice, ratio, rational, wholeNumber } from '../values.js';

const MODES = ['enforce', 'observe', 'off'] as const;

const mode = (fallback: (typeof MODES)[number], why: string) =>
  option(choice(MODES).prefault(fallback), {
    meaning:
      '`enforce`: what it finds is ejected. `observe`: it is counted only. `off`: it does not look. Where `ejection.mode` is `observe`, nothing is ejected.',
    why,
  });

const minCalls = (fallback: number, why: string) =>
  option(wholeNumber({ min: 1, max: 1_000_000 }).prefault(fallback), {
    meaning: 'Calls to the endpoint within the last 10 s below which there is no verdict.',
    why,
  });

const minPeers = option(wholeNumber({ min: 2, max: 1_000 }).prefault(5), {
  meaning: 'Endpoints with enough calls below which there is no verdict.',
  why: 'A mean of fewer says little about any of them (Envoy, gRFC A50).',
});

const consecutive = blockAs('a block with mode; how many are too many, ejection.consecutive_faults says', {
  mode: mode('enforce', 'Works at any pool size and any rate.'),
});

const modelUnavailable = block({ mode: mode('enforce', "The peer's sidecar knows the state of its model.") });

const successRatio = block({
  mode: mode('enforce', 'Works in the small pools that models have.'),
  below: option(ratio({ min: 0.01, max: 0.999 }).prefault(0.8), {
    meaning: 'An endpoint with a smaller share of successes is ejected.',
    why: 'One call in five failed is far from any ordinary day.',
  }),
  min_calls: minCalls(5, 'Two failures among five are a finding, one is not.'),
});

const successRate = block({
  mode: mode('enforce', 'Finds what is bad only beside its peers, and only in pools large enough.'),
  factor: option(rational({ min: 0.1, max: 10 }).prefault(1.9), {
    meaning:
      'An endpoint whose success rate is below the mean of its peers minus so many standard deviations is ejected.',
    why: "Envoy's own default.",
  }),
  min_peers: minPeers,
  min_calls: minCalls(100, "Envoy's own default."),
});

const failureRatio = block({
  mode: mode('off', 'success_ratio finds the same endpoints earlier.'),
  above: option(ratio({ min: 0.01, max: 0.999 }).prefault(0.85), {
    meaning: 'An endpoint with a larger share of faults is ejected.',
    why: "Envoy's own default.",
  }),
  min_peers: minPeers,
  min_calls: minCalls(50, "Envoy's own default."),
});

const latency = block({
  mode: mode('enforce', 'A slow replica costs more than a dead one, and no status shows it.'),
  factor: option(rational({ min: 1.1, max: 100 }).prefault(3), {
    meaning:
      'An endpoint is ejected if its median latency is more than this many times that of its peers, for calls of the same method, model and size, and if that cannot be chance. About a hundred calls show a replica that takes ten times as long. The model is read from inferences of the Open Inference Protocol, TensorFlow Serving and TorchServe; calls whose model cannot be read (compressed, or not in the first 4 KiB) are compared with each other. An endpoint that spends a third of its time or more on other work than its peers is not compared, nor is any with `hash_on: { model: true }`.',
    why: 'Well beyond what different machines or a busy neighbour do.',
  }),
  min_calls: option(wholeNumber({ min: 1, max: 1_000_000 }).prefault(20), {
    meaning:
      'Calls of one method, model and size, to the endpoint and to a peer, within the last 10 s below which they are not compared.',
    why: 'A median of fewer moves with single calls.',
  }),
});

const invalidOutput = block({
  mode: mode('off', 'It reads answers, which costs CPU, and it knows ModelInfer only.'),
  above: option(ratio({ min: 0.01, max: 0.999 }).prefault(0.5), {
    meaning: 'An endpoint with a larger share of invalid answers among the samples is ejected.',
    why: 'A single NaN can be the fault of its input.',
  }),
  min_samples: option(wholeNumber({ min: 1, max: 100_000 }).prefault(5), {
    meaning: 'Samples below which there is no verdict.',
    why: 'A peer has answered the same request well before one of them counts against an endpoint.',
  }),
  sample_ratio: option(ratio({ min: 0.0001, max: 1 }).prefault(0.05), {
    meaning:
      'Share of the answers that are checked, beyond the first 10 of each second and up to 40 a second. For 10 s after a charge, all answers of that endpoint may be checked.',
    why: 'A broken model is broken for all; one answer in twenty shows it soon.',
  }),
});

const shortLived = block({
  mode: mode('enforce', 'It loses few of many calls, so that no share of failures shows it.'),
  min_connections: option(wholeNumber({ min: 2, max: 1_000 }).prefault(2), {
    meaning:
      'Connections in a row that were cut within a minute of being made, without a GOAWAY and with calls on them.',
    why: 'Connections live for hours: one may be cut by chance, two in a row within minutes are not.',
  }),
});

const detectorBlock = block({
  consecutive: option(consecutive.prefault({}), {
    meaning: 'Faults in a row: as many as `ejection.consecutive_faults` says.',
    why: 'On: it needs neither peers nor a window.',
  }),
  model_unavailable: option(modelUnavailable.prefault({}), {
    meaning:
      'The sidecar of the endpoint says that its model cannot serve. The endpoint is ejected at the first such answer, however many others are. Its sidecar is asked twice a second whether the model serves again; then a single call tries it. If the sidecar does not answer, a call tries it after 500 ms, then 1 s, 2 s, … up to `ejection.base`.',
    why: 'On: no statistics are needed for what the neighbour knows. Believed within the mesh only.',
  }),
  success_ratio: option(successRatio.prefault({}), {
    meaning: 'Share of successes in an exact ring of 10 s.',
    why: 'On: it needs no peers to compare with.',
  }),
  success_rate: option(successRate.prefault({}), {
    meaning: 'Success rate against the peers.',
    why: 'On: silent in pools that are too small for it.',
  }),
  failure_ratio: option(failureRatio.prefault({}), {
    meaning: "Share of faults in an exact ring of 10 s: Envoy's failure percentage.",
    why: 'Off: it is there for configurations that come from Envoy.',
  }),
  latency: option(latency.prefault({}), {
    meaning: 'Latency against the peers. `/endpoints` and `outrider status` show the ratio.',
    why: 'On: no status shows it.',
  }),
  invalid_output: option(invalidOutput.prefault({}), {
    meaning:
      'NaN, infinities, a wrong shape or a wrong datatype in answers of ModelInfer. Of large answers a sample of the numbers is read. Before an endpoint is charged, the same request is sent to a peer, so the route must be idempotent. Answers longer than `sample` of their route and requests longer than `replay` are not checked, only counted.',
    why: 'Off: it reads answers.',
  }),
  short_lived: option(shortLived.prefault({}), {
    meaning:
      'Connections to the endpoint that are cut soon after they were made, with calls on them, as by a proxy or a firewall before it. The same of connections between its sidecar and its model. There is no verdict while connections to more than half of the others are cut as well, nor where these have no room for its calls.',
    why: 'On: each such connection loses the calls on it.',
  }),
});

type Detectors = CodeOf<typeof detectorBlock>;

/** `ejection.detectors`: eight detectors, of which an absent one has its defaults. Envoy's `outlier_detection`, gRFC A50. */
export const detectors = option(
  inCode(
    detectorBlock.prefault({}),
    (said): Partial<Detectors> | undefined => said,
    (config) => ({ ...noDetectors(), ...config }),
  ),
  {
    meaning:
      'How a bad endpoint is detected. Each detector decides independently of the others. Failures that the requests cause (INTERNAL to bytes that are no message) eject nothing: an endpoint that answers with a failure other than UNAVAILABLE or a timeout is ejected only if its best peer fails less.',
    why: 'Faults in a row miss an endpoint that fails half the time, or answers late or wrongly.',
  },
);

const ALWAYS_ON: ReadonlySet<string> = new Set(['consecutive', 'model_unavailable']);

/** What a configuration without detectors means: faults in a row and what sidecars say of their models. */
function noDetectors(): Detectors {
  const off = Object.keys(detectorBlock.shape).filter((name) => !ALWAYS_ON.has(name));
  const file = Object.fromEntries(off.map((name) => [name, { mode: 'off' }]));
  return fromFile(detectorBlock, detectorBlock.parse(file), '/');
}
