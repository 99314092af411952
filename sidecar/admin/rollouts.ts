import { readDuration } from '../config/codecs/duration.js';
import { quoted } from '../config/codecs/parse-result.js';
import type { RolloutAnswer, RolloutSettings, RolloutView } from '../core/models/rollout.js';

/** Rollouts of the service of this sidecar, as `/rollout` reads and changes them. */
export interface RolloutAdmin {
  view(): RolloutView;
  /** Never rejects. */
  begin(model: string, version: string, settings: Partial<RolloutSettings>): Promise<RolloutAnswer>;
  /** Never rejects. */
  command(command: 'pause' | 'resume' | 'abort'): Promise<RolloutAnswer>;
}

/** An HTTP answer: a line of text, or an object for JSON. */
export interface RolloutReply {
  readonly status: number;
  readonly body: string | object;
}

/** The answer where `rollout` is not in the file. */
const NONE: RolloutReply = {
  status: 404,
  body: 'this sidecar rolls nothing out: it needs a block `rollout` for its service, and Consul or `state_dir`\n',
};
const COMMANDS = ['pause', 'resume', 'abort'] as const;
/** Of the query; another one is a mistake. */
const PARAMETERS = ['model', 'version', 'canary', 'window', 'command'];
const VERSION = /^[1-9]\d{0,18}$/;
const LONGEST_WINDOW_MS = 86_400_000;

/** `GET /rollout` */
export function showRollout(admin: RolloutAdmin | undefined): RolloutReply {
  return admin === undefined ? NONE : { status: 200, body: admin.view() };
}

/**
 * `POST /rollout?model=M&version=N` begins one, `POST /rollout?command=pause` changes it. 201 or 200 with what is stored,
 * 409 where it is refused, 400 for a wrong parameter, which is named.
 */
export async function changeRollout(
  admin: RolloutAdmin | undefined,
  query: URLSearchParams,
): Promise<RolloutReply> {
  if (admin === undefined) return NONE;
  const unknown = [...query.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined)
    return wrong(`found the parameter ${quoted(unknown)}; expected ${PARAMETERS.join(', ')}`);
  const command = query.get('command');
  if (command !== null) {
    const known = COMMANDS.find((each) => each === command);
    if (known === undefined)
      return wrong(`command: found ${quoted(command)}; expected ${COMMANDS.join(', ')}`);
    return replyOf(await admin.command(known), 200);
  }
  const [model, version] = [query.get('model') ?? '', query.get('version') ?? ''];
  if (model === '') return wrong('model: missing; expected the name of a model of this service');
  if (!VERSION.test(version))
    return wrong(`version: found ${quoted(version)}; expected a whole number, the name of its folder`);
  const settings: { canary?: number; windowMs?: number } = {};
  const canary = query.get('canary');
  if (canary !== null) {
    settings.canary = shareOf(canary);
    if (!(settings.canary >= 0 && settings.canary <= 0.5))
      return wrong(`canary: found ${quoted(canary)}; expected a share up to a half, such as 5% or 0.05`);
  }
  const window = query.get('window');
  if (window !== null) {
    const read = readDuration(window);
    if (!read.ok || read.value < 1_000 || read.value > LONGEST_WINDOW_MS)
      return wrong(`window: found ${quoted(window)}; expected a duration from 1s to 24h`);
    settings.windowMs = read.value;
  }
  return replyOf(await admin.begin(model, version, settings), 201);
}

/** `5%` or `0.05`; NaN: neither. */
function shareOf(text: string): number {
  if (!/^\d+(\.\d+)?%?$/.test(text)) return Number.NaN;
  return text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
}

function replyOf(answer: RolloutAnswer, status: number): RolloutReply {
  if (answer.kind === 'refused') return { status: 409, body: `${answer.why}\n` };
  return { status, body: answer.record };
}

function wrong(problem: string): RolloutReply {
  return { status: 400, body: `${problem}\n` };
}
