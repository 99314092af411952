/**
 * What a file says of policies and perhaps does not mean: options that can have no effect, and bounds in each other's way.
 */
import { NEARNESS, nearnessOf } from '../../core/balancing/locality.js';
import { GENERATE_METHODS } from '../../core/routing/engine.js';
import { areReadOnly, KNOWN_STREAMS, matchesMethod } from '../../core/routing/method.js';
import { MOST_MODELS, modelsNamedBy } from '../../core/routing/named-models.js';
import { type Address, isLocalAddress, writeAddress } from '../codecs/address.js';
import { writeDuration } from '../codecs/duration.js';
import { writeSize } from '../codecs/size.js';
import type { MeshFile } from '../implied-caller.js';
import { below, type Report } from '../options/option.js';
import type { SidecarFile } from '../options/sidecar-file.js';
import { defaultKind, defaultTimeoutMs } from '../route-defaults.js';

type UpstreamFile = MeshFile['caller']['upstreams'][string];
type RouteFile = UpstreamFile['routes'][number];
type QueueFile = MeshFile['services'][string]['queue'];

/** What the file lets one know of an upstream. */
export interface UpstreamFacts {
  /** Undefined: only the registry knows. */
  readonly endpoints?: number;
  /** Calls that all its models together may hold; undefined: unknown. */
  readonly capacity?: number;
  /** Where endpoints are, as listed; addresses of a DNS name are nowhere, and pods in zones. Undefined: the registry knows. */
  readonly places?: readonly (string | undefined)[] | 'none' | 'zones';
  /** The engine that its service is, where the upstream itself does not say one. */
  readonly engine?: UpstreamFile['engine'];
  readonly memoryBudget: number;
}

/** A percentile below this makes more than one copy for every ten calls. */
const USUAL_PERCENTILE = 0.9;

/** Warns about the policies of one upstream. */
export function warnOfPolicies(upstream: UpstreamFile, known: UpstreamFacts, warn: Report): void {
  warnOfBreaker(upstream, known, below(['breaker'], warn));
  if (upstream.locality !== undefined) warnOfPlaces(upstream.locality.own, known, below(['locality'], warn));
  // gRFC A8: strikes for more than one in five minutes, and the connection ends with the calls on it.
  if (upstream.tls === 'plaintext' && upstream.health?.kind === 'ping')
    warn(
      ['health', 'kind'],
      'gRPC servers end a connection, with the calls on it, when a PING comes at each interval: a service outside the mesh is checked by grpc or tcp',
    );
  warnOfShortDeadlines(upstream, below(['cold_start', 'wait'], warn));
  warnOfInspection(upstream, below(['ejection', 'detectors', 'invalid_output'], warn));
  const models = modelsNamedBy(upstream.routes);
  if (models.length > MOST_MODELS)
    warn(
      ['routes'],
      `they name ${models.length} models, and calls are told apart by ${MOST_MODELS} at most: those to ${models[MOST_MODELS]}, and to what is named after it, take the routes without models`,
    );
  warnOfRoutes(upstream.routes, below(['routes'], warn));
  for (const [i, route] of upstream.routes.entries()) warnOfRoute(route, known, below(['routes', i], warn));
  const answers = routeOfAnswers(upstream.engine ?? known.engine, upstream.routes);
  for (const [i, route] of upstream.routes.entries())
    if (route !== answers) warnOfFailedCalls(route, below(['routes', i], warn));
}

/**
 * The route that takes the answers of a language-model engine: they may be made twice, whatever it says. A unary route holds them back, and
 * does not read them (relay/route-table.ts).
 */
function routeOfAnswers(
  engine: UpstreamFile['engine'],
  routes: UpstreamFile['routes'],
): RouteFile | undefined {
  if (engine === undefined) return undefined;
  const found = routes.find(({ methods, models }) => models === undefined && takes(methods, engine));
  return found?.kind === 'unary' ? undefined : found;
}

function takes(methods: readonly string[], engine: keyof typeof GENERATE_METHODS): boolean {
  return methods.some((pattern) => matchesMethod(pattern, GENERATE_METHODS[engine]));
}

/** A fallback that gets fewer calls than its route may mean. */
function warnOfFailedCalls({ fallback = [], methods, idempotent }: RouteFile, warn: Report): void {
  if (idempotent !== undefined || areReadOnly(methods)) return;
  for (const [i, { upstream }] of fallback.entries())
    if (upstream !== undefined)
      warn(
        ['fallback', i],
        `${upstream} gets no call that an endpoint may have begun to process, such as one whose connection was lost; set "idempotent: true" on this route if doing it twice is harmless, or "idempotent: false" if that is meant`,
      );
}

/** Warns about patterns in unary routes of either side that take methods which are known to stream, unless routes before take these. */
export function warnOfRoutes(routes: readonly Pick<RouteFile, 'methods' | 'kind'>[], warn: Report): void {
  for (const [i, { kind, methods }] of routes.entries()) {
    if (kind !== 'unary') continue;
    const before = routes.slice(0, i).flatMap((route) => route.methods);
    for (const [at, pattern] of methods.entries()) {
      const stream = heldStream(pattern, before);
      if (stream !== undefined && stream !== pattern)
        warn(
          [i, 'methods', at],
          `it takes streams too, such as ${stream}, and holds their messages back; a route with kind streaming before it would take them`,
        );
    }
  }
}

/** A method that is known to stream and that the pattern takes, and none of those before; after `*` one that was named before counts as all. */
function heldStream(pattern: string, before: readonly string[]): string | undefined {
  const streams = [...KNOWN_STREAMS].filter((stream) => matchesMethod(pattern, stream));
  const free = streams.filter((stream) => !before.some((other) => matchesMethod(other, stream)));
  return pattern === '*' && free.length < streams.length ? undefined : free[0];
}

/** A place with which no endpoint, or none that is found, can be compared. */
function warnOfPlaces(own: string | undefined, { places }: UpstreamFacts, warn: Report): void {
  if (places === 'none')
    return warn([], 'the addresses of a DNS name have no place, so that all of them are used alike');
  if (own === undefined || places === undefined) return;
  if (places === 'zones') {
    if (own.includes('/'))
      warn(['own'], `pods are in zones such as "eu-west-1a", without a slash, and none is at "${own}"`);
    return;
  }
  const isNear = (place: string | undefined): boolean =>
    place !== undefined && nearnessOf(own, place) !== NEARNESS.elsewhere;
  if (!places.some(isNear)) warn(['own'], `no endpoint is at "${own}", so that all of them are used alike`);
}

/** Whether a call may wait for a start as long as `cold_start.wait` says: its deadline ends the wait. */
function warnOfShortDeadlines({ cold_start: coldStart, routes }: UpstreamFile, warn: Report): void {
  if (coldStart === undefined) return;
  const { wait } = coldStart;
  const defaultMs = defaultTimeoutMs('unary');
  const isShort = (timeoutMs: number): boolean => timeoutMs > 0 && timeoutMs <= wait;
  const ended = (timeoutMs: number, where: string): string =>
    `a call never waits ${writeDuration(wait)}: it ends at its timeout of ${writeDuration(timeoutMs)} (${where}); set timeout above cold_start.wait`;
  for (const { timeout, kind, methods, fallback } of routes) {
    const timeoutMs = timeout ?? (kind === 'streaming' ? 0 : defaultMs);
    if (fallback !== undefined || !isShort(timeoutMs)) continue;
    const where = `${timeout === undefined ? 'the default, ' : ''}route of ${methods.join(', ')}`;
    return warn([], ended(timeoutMs, where));
  }
  const isInferStated = routes.some(({ methods }) => methods.some((each) => INFER_PATTERNS.includes(each)));
  if (!isInferStated && isShort(defaultMs))
    warn([], ended(defaultMs, 'the default, as no route says another'));
}

/** Warns about the queue before a model, which is bounded by the memory of the process too. */
export function warnOfQueue(queue: QueueFile, memoryBudget: number, warn: Report): void {
  if (queue.max_waiting === 0 && queue.priority !== undefined)
    warn(['priority'], 'no call waits (max_waiting is 0), so that there is no order to decide');
  if (queue.adaptive !== undefined && queue.adaptive.min === queue.adaptive.max)
    warn(['adaptive'], `min and max are both ${queue.adaptive.min}: there is nothing to find`);
  const bytes = queue.max_waiting_bytes;
  if (bytes > memoryBudget)
    warn(
      [],
      `max_waiting_bytes (${writeSize(bytes)}) is above memory_budget (${writeSize(memoryBudget)}), which is reached first`,
    );
}

/** `admin`: where drills are switched on; in a mesh, where the caller's are. */
export function warnOfDrills(
  file: SidecarFile | MeshFile,
  admin: Address | undefined,
  { isAdminNeeded }: { readonly isAdminNeeded: boolean },
  warn: Report,
): void {
  if (!file.fault_injection) return;
  const at = ['fault_injection'];
  if (admin === undefined) {
    if (isAdminNeeded) warn(at, 'there is no admin port, at which it would be switched on');
  } else if (!isLocalAddress(admin) && file.admin_token_file === undefined)
    warn(at, `a client that reaches ${writeAddress(admin)} can delay and abort calls`);
}

function warnOfBreaker({ breaker, pool }: UpstreamFile, known: UpstreamFacts, warn: Report): void {
  if (breaker === undefined) return;
  const { max_in_flight: inFlight, max_connections: connections } = breaker;
  const wanted = (known.endpoints ?? 0) * pool.connections;
  if (connections !== 0 && connections < wanted)
    warn(
      ['max_connections'],
      `${connections} connections are fewer than its endpoints are to have (${wanted}): some get no traffic`,
    );
  if (inFlight !== 0 && known.capacity !== undefined && inFlight < known.capacity)
    warn(
      ['max_in_flight'],
      `${inFlight} calls are fewer than its models take at once (${known.capacity}): they never have enough to do`,
    );
}

/** Whether there is a route whose answers can be charged to an endpoint. */
function warnOfInspection({ ejection, routes }: UpstreamFile, warn: Report): void {
  const { mode } = ejection.detectors?.invalid_output ?? { mode: 'off' };
  if (mode === 'off') return;
  const inspected = routes.filter(({ methods }) => methods.some((each) => INFER_PATTERNS.includes(each)));
  if (!inspected.some(({ idempotent, replay }) => idempotent === true && replay !== 0))
    warn(
      [],
      'no route of ModelInfer is idempotent and keeps its requests (replay): no answer is ever charged, as no peer can be asked',
    );
  else if (inspected.every(({ sample }) => sample === 0))
    warn([], 'sample is 0B on every route of ModelInfer: answers longer than hold are not looked at');
}

/** Methods of a route that ModelInfer is one of. */
const INFER_PATTERNS: readonly string[] = [
  '/inference.GRPCInferenceService/ModelInfer',
  '/inference.GRPCInferenceService/*',
  '*',
];

function warnOfRoute(route: RouteFile, known: UpstreamFacts, warn: Report): void {
  warnOfOutcomes(route, below(['outcomes', 'fault'], warn));
  warnOfHedge(route, known, below(['hedge'], warn));
  warnOfFallback(route, known, below(['fallback'], warn));
  warnOfSizes(route, known, warn);
  const { split } = route;
  const choices = Object.values(split?.weights ?? {}).filter((weight) => weight > 0);
  if (split?.sticky_by !== undefined && choices.length <= 1)
    warn(['split', 'sticky_by'], 'there is nothing to choose from by weight, so that it has no effect');
}

/** Sizes that leave nothing for what the route asks for, or that no call can have. */
function warnOfSizes(route: RouteFile, { memoryBudget }: UpstreamFacts, warn: Report): void {
  const { hold, replay, sample, mirror } = route;
  if (replay === 0)
    for (const name of ['retry', 'hedge', 'fallback', 'mirror'] as const)
      if (route[name] !== undefined)
        warn(['replay'], `no request is kept, so that ${name} of this route never sees one`);
  if (sample === 0 && mirror !== undefined)
    warn(
      ['sample'],
      `answers longer than hold (${writeSize(hold)}) are not compared with those of the copies`,
    );
  for (const [name, bytes] of Object.entries({ hold, replay, sample }))
    if (bytes !== undefined && bytes > memoryBudget)
      warn(
        [name],
        `${writeSize(bytes)} is more than memory_budget (${writeSize(memoryBudget)}), which is reached first`,
      );
}

/** Statuses by which a service says that the caller sent nonsense. */
const OF_THE_INPUT: readonly string[] = ['invalid_argument', 'out_of_range'];

function warnOfOutcomes({ outcomes }: RouteFile, warn: Report): void {
  for (const [i, status] of (outcomes?.fault ?? []).entries())
    if (OF_THE_INPUT.includes(status))
      warn([i], `${status} is up to what callers send: one that sends nonsense gets good endpoints ejected`);
}

function warnOfHedge({ hedge }: RouteFile, { endpoints }: UpstreamFacts, warn: Report): void {
  if (hedge === undefined) return;
  if (hedge.percentile < USUAL_PERCENTILE)
    warn(
      ['percentile'],
      `more than one call in ten would be sent twice, of which max_ratio (${hedge.max_ratio}) lets some happen; 0.95 is usual`,
    );
  if (endpoints === 1) warn([], 'there is only one endpoint, and a copy never goes to the same one');
}

function warnOfFallback(route: RouteFile, { memoryBudget }: UpstreamFacts, warn: Report): void {
  const { fallback, attempt_timeout: attemptMs } = route;
  if (fallback === undefined) return;
  const timeoutMs = route.timeout ?? defaultTimeoutMs(route.kind ?? defaultKind(route.methods));
  if (timeoutMs === 0 && attemptMs === 0)
    warn(
      [],
      'a route without timeout and attempt_timeout: a call that hangs never falls back, unless its caller gives up first',
    );
  else if (attemptMs === 0)
    warn(
      [],
      'a route without attempt_timeout: when a call hangs, all of its time is over before it could fall back',
    );
  for (const [i, { max_bytes: bytes }] of fallback.entries())
    if (bytes !== undefined && bytes > memoryBudget)
      warn(
        [i, 'max_bytes'],
        `${writeSize(bytes)} of answers kept are more than memory_budget (${writeSize(memoryBudget)}) allows for calls`,
      );
}
