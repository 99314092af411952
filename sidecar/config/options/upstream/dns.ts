/** The name whose addresses are the endpoints of an upstream. */
import { isIP } from 'node:net';
import { ADDRESS_PATTERN, type Address, isReachableHost, writeAddress } from '../../codecs/address.js';
import { invalid, ok, type Parsed, quoted } from '../../codecs/parse-result.js';
import { block, option, value } from '../option.js';
import { checkedText, choice, codec, duration, listOf, readPeer, wholeNumber } from '../values.js';

const NAME_EXPECTED = 'a DNS name such as "digits.models" or "digits.models.svc.cluster.local"';
/** RFC 1035, 2.3.4. */
const MAX_NAME = 253;
const MAX_LABEL = 63;
const NAME_PATTERN = '^[A-Za-z0-9_.-]{1,254}$';
const SERVER_EXPECTED = 'the address of a DNS server such as "10.96.0.10:53"';
/** As many as a resolv.conf may have, and room beside that. */
const MAX_SERVERS = 8;

/** `dns` of an upstream. */
export const dns = block({
  name: option(value(checkedText(NAME_EXPECTED, NAME_PATTERN, readName), { type: 'host' }), {
    meaning:
      'Each of its A and AAAA records is an endpoint. It is looked up as other programs do: in /etc/hosts, then by DNS with `search` and `ndots` of /etc/resolv.conf; a dot at its end says that it is whole.',
    why: 'Without it there is nothing to ask for.',
  }),
  port: option(wholeNumber({ min: 1, max: 65_535 }), {
    meaning: "Where the peers' sidecars listen, at every address.",
    why: 'Address records have no port.',
  }),
  refresh: option(duration({ min: 1_000, max: 3_600_000 }).prefault('5s'), {
    meaning: 'Time between two queries, ± 10 %; how long records may be cached (TTL) is not looked at.',
    why: "Envoy's default, and how long the DNS of Kubernetes keeps an answer.",
  }),
  family: option(choice(['all', 'ipv4', 'ipv6']).prefault('all'), {
    meaning: 'Which addresses count: A records, AAAA records, or both.',
    why: 'Right wherever an instance has one address; where each has two, one family avoids counting it twice.',
  }),
  servers: option(
    listOf(
      value(codec(SERVER_EXPECTED, ADDRESS_PATTERN, readServer, writeAddress), { type: 'address' }),
      'servers',
      MAX_SERVERS,
    ).prefault([]),
    {
      meaning:
        'The DNS servers to ask, by IP address and port. The next one is asked if one does not answer in time or fails (SERVFAIL, REFUSED). That a name does not exist is an answer.',
      otherwise: '`[]`: those of /etc/resolv.conf',
      why: 'The machine knows its own.',
    },
  ),
});

function readName(text: string): Parsed<string> {
  const whole = text.replace(/\.$/, '');
  if (isIP(whole) !== 0)
    return invalid(`found ${quoted(text)}; expected a DNS name: an address stands in endpoints`);
  if (whole.length > MAX_NAME)
    return invalid(
      `found a name of ${whole.length} bytes; expected at most ${MAX_NAME}, as DNS has no longer ones`,
    );
  const label = whole.split('.').find(({ length }) => length > MAX_LABEL);
  if (label !== undefined)
    return invalid(
      `found ${label.length} bytes without a dot, ${quoted(label)}; expected at most ${MAX_LABEL}, as DNS has no longer ones`,
    );
  return isReachableHost(whole) ? ok(text) : invalid(`found ${quoted(text)}; expected ${NAME_EXPECTED}`);
}

/** A DNS server is asked at an address: its name would have to be resolved first. */
function readServer(text: string): Parsed<Address> {
  const read = readPeer(text);
  if (!read.ok || (read.value.kind === 'tcp' && isIP(read.value.host) !== 0)) return read;
  return invalid(`found ${quoted(text)}; expected ${SERVER_EXPECTED}`);
}
