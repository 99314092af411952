/**
 * Values as Consul takes them. Its limits are checked here, so that a file is refused when it is read, and not by an agent
 * at the time of a registration.
 */
import * as z from 'zod';
import { isReachableHost } from '../../codecs/address.js';
import { AGENT_URL_EXPECTED, AGENT_URL_PATTERN, readAgentUrl } from '../../codecs/agent-url.js';
import { invalid, ok, type Parsed, quoted } from '../../codecs/parse-result.js';
import { located, rules, value } from '../option.js';
import { checkedText, listOf, matching, pathFrom } from '../values.js';

/** structs.ValidateServiceMetadata and ValidateNodeMetadata of Consul. */
const MAX_PAIRS = 64;
const MAX_KEY = 128;
const MAX_VALUE_BYTES = 512;
/** What Outrider adds to the metadata of a registration fits into the rest. */
const MAX_OWN_PAIRS = 48;
const MAX_TAGS = 64;
const MAX_TAG_BYTES = 512;

const PRINTABLE_PATTERN = '^[^\\u0000-\\u001f\\u007f]*$';
const PRINTABLE = new RegExp(PRINTABLE_PATTERN);

const SOCKET = 'unix://';

/** The address of an agent; a relative path of a socket lies below the directory of the file. */
export function agentUrl() {
  const url = value(checkedText(AGENT_URL_EXPECTED, AGENT_URL_PATTERN, readAgentUrl), { type: 'URL' });
  return located(url, (text, baseDir) =>
    text.startsWith(SOCKET) ? SOCKET + pathFrom(text.slice(SOCKET.length), baseDir) : text,
  );
}

/** As Consul names them: it takes no dots, unlike a service's name. */
export function consulDatacenter() {
  const error = 'the name of a datacenter: lower-case letters, digits, "-" and "_", at most 63';
  return matching('name', /^[a-z0-9_-]{1,63}$/, error);
}

const HOST_EXPECTED = 'a host name or IP address without a port, such as "10.0.0.7"';

/** Where others reach this machine: no wildcard. */
export function reachableHost() {
  const read = (text: string): Parsed<string> => {
    if (isReachableHost(text)) return ok(text);
    const bare = /^\[?(.*?)\]?:\d{1,5}$/.exec(text)?.[1];
    const hint = bare !== undefined && isReachableHost(bare) ? `; did you mean ${quoted(bare)}?` : '';
    return invalid(`found ${quoted(text)}; expected ${HOST_EXPECTED}, where peers reach this machine${hint}`);
  };
  return value(checkedText(HOST_EXPECTED, '^[^\\s/\\[\\]]+$', read), { type: 'host' });
}

function printable(what: string, maxBytes: number, minBytes: number) {
  const expected = `${what}: ${minBytes} to ${maxBytes} bytes without control characters`;
  const read = (text: string): Parsed<string> => {
    const bytes = Buffer.byteLength(text);
    if (bytes >= minBytes && bytes <= maxBytes && PRINTABLE.test(text)) return ok(text);
    const found = bytes > 80 ? `${bytes} bytes` : quoted(text);
    return invalid(`found ${found}; expected ${expected}`);
  };
  return value(checkedText(expected, PRINTABLE_PATTERN, read), { type: 'text' });
}

/** A key of the metadata of a service or a node. */
export function consulMetaKey() {
  return matching('text', new RegExp(`^[A-Za-z0-9_-]{1,${MAX_KEY}}$`), KEY_ERROR);
}

/** Each once. */
export function tagList() {
  return listOf(printable('a tag', MAX_TAG_BYTES, 1), 'tags', MAX_TAGS);
}

const KEY_ERROR = `a metadata key: letters, digits, "-" and "_", at most ${MAX_KEY}`;

function metaMap(maxPairs: number, tooMany: string, reserved?: RegExp) {
  const key = matching('text', new RegExp(`^[A-Za-z0-9_-]{1,${MAX_KEY}}$`), KEY_ERROR);
  const map = z.record(key, printable('a metadata value', MAX_VALUE_BYTES, 0), {
    error: 'a map of metadata keys and texts',
  });
  return map.check(
    rules((found, report) => {
      const keys = Object.keys(found);
      if (keys.length > maxPairs) report([], `found ${keys.length} pairs; expected at most ${tooMany}`);
      for (const name of keys) {
        if (reserved?.test(name))
          report(
            [name],
            'found a key that is reserved; expected one that does not begin with "consul-" or "outrider"',
          );
      }
    }),
  );
}

/** Metadata that an instance has to have. */
export function wantedMeta() {
  return metaMap(MAX_PAIRS, `${MAX_PAIRS}, as Consul takes no more`);
}

/** Metadata to register with. */
export function ownMeta() {
  const tooMany = `${MAX_OWN_PAIRS}: Consul takes ${MAX_PAIRS}, and Outrider adds its own`;
  return metaMap(MAX_OWN_PAIRS, tooMany, /^(consul-|outrider)/i);
}
