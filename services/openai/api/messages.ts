/** The messages of a chat request: text only. */
import { badRequest } from './errors.js';
import { isObject } from './fields.js';

/** As chat templates read it. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
}

/** OpenAI's newer models say `developer`; templates know `system`. */
const ROLES: Readonly<Record<string, string>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
};

export function readMessages(given: unknown): readonly ChatMessage[] {
  if (!Array.isArray(given) || given.length === 0)
    throw badRequest("'messages' must be an array with at least one message.", 'messages');
  return given.map((message, index) => readMessage(message, `messages[${index}]`));
}

function readMessage(message: unknown, at: string): ChatMessage {
  if (!isObject(message)) throw badRequest(`'${at}' must be an object.`, at);
  const { role, name } = message;
  if (role === 'tool' || role === 'function')
    throw badRequest(
      `'${at}' is not supported: this service has no tool calls.`,
      at,
      'unsupported_parameter',
    );
  const known = typeof role === 'string' && Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
  if (known === undefined)
    throw badRequest(`'${at}.role' must be one of ${Object.keys(ROLES).join(', ')}.`, `${at}.role`);
  for (const field of ['tool_calls', 'function_call', 'audio']) {
    const value = message[field];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    const text = `'${at}.${field}' is not supported: this service takes and returns text only.`;
    throw badRequest(text, `${at}.${field}`, 'unsupported_parameter');
  }
  const content = readContent(message['content'], `${at}.content`);
  return typeof name === 'string' ? { role: known, content, name } : { role: known, content };
}

function readContent(content: unknown, at: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content))
    throw badRequest(`'${at}' must be a string or an array of parts of the type text.`, at);
  return content.map((part, index) => readPart(part, `${at}[${index}]`)).join('\n');
}

function readPart(part: unknown, at: string): string {
  if (!isObject(part) || typeof part['type'] !== 'string')
    throw badRequest(`'${at}' must be an object with a 'type'.`, at);
  const { type, text } = part;
  if (type === 'text' && typeof text === 'string') return text;
  if (type === 'text') throw badRequest(`'${at}.text' must be a string.`, `${at}.text`);
  const message = `A part of the type '${type}' is not supported: this service takes text only.`;
  throw badRequest(message, at, 'unsupported_parameter');
}
