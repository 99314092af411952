import { randomBytes } from 'node:crypto';
import { isLocalAddress, readAddress } from '../../config/codecs/address.js';
import { present } from '../../config/present.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { CommandFailure } from '../failure.js';
import { listenProblem } from '../listen-problem.js';
import { endRequests } from '../signals.js';
import { type Changed, changeSidecar } from './change.js';
import { MeshView } from './mesh-view.js';
import { type PageDeps, type PagePlace, type PageServer, servePage } from './server.js';
import { AdminSource, CatalogSource, type Source } from './sources.js';

/** Options of `outrider page`. */
export interface PageOptions {
  /** Mesh file of a mesh that `up` runs here; absent: the mesh of this folder. */
  readonly mesh?: string;
  /** Admin addresses; empty: those of `mesh`. With `consul`: those whose sidecars say more than their metrics. */
  readonly admin: readonly string[];
  /** Address of a Consul agent, whose catalogue is shown; `true`: the one of the environment. */
  readonly consul?: string | true;
  /** `HOST:PORT` of the page. */
  readonly listen: string;
  /** Of `admin_token_file`, where sidecars ask for one. */
  readonly tokenFile?: string;
  /** One JSON object with the address, instead of a sentence. */
  readonly json?: boolean;
}

/** How often sidecars are asked. */
const PERIOD_MS = 2_000;
/** Of the key in the address of a page that has a token. */
const KEY_BYTES = 24;

/**
 * `outrider page`: serves one page about all sidecars of a mesh until a signal. It asks them itself, so that the browser talks to this
 * process only. The last half hour comes from the sidecars.
 *
 * @returns the exit code 0.
 * @throws CommandFailure where there is no mesh, or the page cannot be served there.
 */
export async function pageCommand(options: PageOptions): Promise<number> {
  const listen = readAddress(options.listen);
  if (!listen.ok || listen.value.kind !== 'tcp')
    throw new CommandFailure(`--listen: ${listen.ok ? 'expected HOST:PORT' : listen.problem}`, 2);
  const { admin, mesh, consul } = options;
  const right = rightOf(options);
  if (!isLocalAddress(listen.value)) {
    if (right !== undefined)
      throw new CommandFailure(
        `--listen ${options.listen} with ${right}: expected an address of this machine alone, such as 127.0.0.1:8898, as the page is plaintext; reach it through ssh -L`,
        2,
      );
    process.stderr.write(
      `outrider: whoever reaches ${options.listen} can read this page, and drain sidecars that ask for no token\n`,
    );
  }
  const key = right === undefined ? undefined : randomBytes(KEY_BYTES).toString('base64url');
  if (mesh !== undefined && consul !== undefined)
    throw new CommandFailure('--mesh and --consul: expected one of them', 2);
  const source =
    consul === undefined
      ? new AdminSource({ admin, ...present('mesh', mesh) })
      : new CatalogSource(consul === true ? undefined : consul, admin);
  const view = new MeshView();
  const look = async (): Promise<void> =>
    view.take(await source.look((name) => view.sinceOf(name)), systemClock.wallNow());
  await look();
  const server = await serve(
    { ...listen.value, ...present('key', key) },
    {
      moment: () => view.moment(systemClock.wallNow()),
      change: (sidecar, what) => change(source, sidecar, what, options),
    },
  );
  // A round that takes longer than the period is not overtaken by the next one.
  let isBusy = false;
  const timer = systemTimers.every(PERIOD_MS, () => {
    if (isBusy) return;
    isBusy = true;
    void look().finally(() => {
      isBusy = false;
    });
  });
  const { host, port } = server.address;
  const path = key === undefined ? '' : `${key}/`;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/${path}`;
  const count = view.moment(systemClock.wallNow()).sidecars.length;
  // Before it says that it listens: whoever reads that may end it at once.
  const { first: ended } = endRequests();
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ event: 'listening', url, sidecars: count })}\n`
      : `the mesh (sidecars: ${count}) is at ${url} until Ctrl-C\n`,
  );
  await ended;
  timer.cancel();
  await server.close();
  return 0;
}

/** By which option the page may do what other users of this machine may not; undefined: by none. */
function rightOf({ tokenFile, admin }: PageOptions): string | undefined {
  if (tokenFile !== undefined) return '--token-file';
  // Who may open it is said by its directory.
  const socket = admin.find((each) => each.startsWith('unix:'));
  return socket === undefined ? undefined : `--admin ${socket}`;
}

/** @throws CommandFailure that says where the page was to be. */
async function serve(at: PagePlace, deps: PageDeps): Promise<PageServer> {
  try {
    return await servePage(at, deps);
  } catch (error) {
    throw new CommandFailure(`the page: ${listenProblem(error)}; --listen HOST:PORT takes another address`);
  }
}

/**
 * The name comes from the browser: it is looked up among the sidecars that are asked anyway, so that no request can be sent elsewhere.
 */
async function change(
  source: Source,
  sidecar: string,
  what: 'drain' | 'undrain',
  { tokenFile }: PageOptions,
): Promise<Changed> {
  const target = source.target(sidecar);
  return target === undefined
    ? { ok: false, says: `there is no sidecar ${sidecar} that can be drained from here` }
    : await changeSidecar(target, what, tokenFile);
}
