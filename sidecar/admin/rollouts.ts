import { readDuration } from '../config/codecs/duration.js';
import { quoted } from '../config/codecs/parse-result.js';
import { present } from '../config/present.js';
import type { RolloutAnswer, RolloutSettings, RolloutView } from '../core/models/rollout.js';
import { Mistake, mistakeAnswer, refuseUnknown } from './query.js';
import type { Reply } from './reply.js';

/** Rollouts of the service of this sidecar, as `/rollout` reads and changes them. */
export interface RolloutAdmin {
  view(): RolloutView;
  /** Never rejects. */
  begin(model: string, version: string, settings: Partial<RolloutSettings>): Promise<RolloutAnswer>;
  /** Never rejects. */
  command(command: 'pause' | 'resume' | 'abort'): Promise<RolloutAnswer>;
}

/** The answer where `rollout` is not in the file. */
const NONE: Reply = {
  status: 404,
  body: 'this sidecar rolls nothing out: it needs a block `rollout` for its service, and Consul or `state_dir`\n',
};
const COMMANDS = ['pause', 'resume', 'abort'] as const;
/** Of the query; another one is a mistake. */
const PARAMETERS = ['model', 'version', 'canary', 'window', 'command'];
const VERSION = /^[1-9]\d{0,18}$/;
const LONGEST_WINDOW_MS = 86_400_000;

/** What is asked for. */
type Change =
  | { readonly kind: 'command'; readonly command: (typeof COMMANDS)[number] }
  | {
      readonly kind: 'begin';
      readonly model: string;
      readonly version: string;
      readonly settings: Partial<RolloutSettings>;
    };

/** `GET /rollout` */
export function showRollout(admin: RolloutAdmin | undefined): Reply {
  return admin === undefined ? NONE : { status: 200, body: admin.view() };
}

/**
 * `POST /rollout?model=M&version=N` begins one, `POST /rollout?command=pause` changes it. 201 or 200 with what is stored,
 * 409 where it is refused, 400 for a wrong parameter, which is named.
 */
export async function changeRollout(admin: RolloutAdmin | undefined, query: URLSearchParams): Promise<Reply> {
  if (admin === undefined) return NONE;
  let change: Change;
  try {
    change = readChange(query);
  } catch (error) {
    return mistakeAnswer(error);
  }
  if (change.kind === 'command') return replyOf(await admin.command(change.command), 200);
  return replyOf(await admin.begin(change.model, change.version, change.settings), 201);
}

function readChange(query: URLSearchParams): Change {
  refuseUnknown(query, PARAMETERS);
  const given = query.get('command');
  if (given !== null) {
    const command = COMMANDS.find((each) => each === given);
    if (command === undefined)
      throw new Mistake(`command: found ${quoted(given)}; expected ${COMMANDS.join(', ')}`);
    return { kind: 'command', command };
  }
  const [model, version] = [query.get('model') ?? '', query.get('version') ?? ''];
  if (model === '') throw new Mistake('model: missing; expected the name of a model of this service');
  if (!VERSION.test(version))
    throw new Mistake(`version: found ${quoted(version)}; expected a whole number, the name of its folder`);
  const settings = { ...present('canary', canaryOf(query)), ...present('windowMs', windowOf(query)) };
  return { kind: 'begin', model, version, settings };
}

function canaryOf(query: URLSearchParams): number | undefined {
  const given = query.get('canary');
  if (given === null) return undefined;
  const share = shareOf(given);
  if (share >= 0 && share <= 0.5) return share;
  throw new Mistake(`canary: found ${quoted(given)}; expected a share up to a half, such as 5% or 0.05`);
}

function windowOf(query: URLSearchParams): number | undefined {
  const given = query.get('window');
  if (given === null) return undefined;
  const read = readDuration(given);
  if (read.ok && read.value >= 1_000 && read.value <= LONGEST_WINDOW_MS) return read.value;
  throw new Mistake(`window: found ${quoted(given)}; expected a duration from 1s to 24h`);
}

/** `5%` or `0.05`; NaN: neither. */
function shareOf(text: string): number {
  if (!/^\d+(\.\d+)?%?$/.test(text)) return Number.NaN;
  return text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
}

function replyOf(answer: RolloutAnswer, status: number): Reply {
  if (answer.kind === 'refused') return { status: 409, body: `${answer.why}\n` };
  return { status, body: answer.record };
}
