/**
 * gRPC server reflection, v1 and v1alpha, as methods of the table. Both versions have the same messages:
 * https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 * The .proto files import nothing and extend nothing, so that an answer has one file, and nothing is known of extensions.
 */

import { fileDescriptors } from '../../../proto/descriptors.js';
import { type Method, small, strict } from '../../../proto/load.js';
import { WireReader, WireType } from '../../../proto/wire.js';
import { type ServedMethod, type StreamCall, type StreamReceiver, streaming } from '../protocol/call.js';
import { status } from '../rpc.js';

/** Fields of a ServerReflectionRequest. */
const Ask = { HOST: 1, FILE: 3, SYMBOL: 4, EXTENSION: 5, EXTENSIONS: 6, SERVICES: 7 } as const;
/** Fields of a ServerReflectionResponse. */
const Answer = { HOST: 1, REQUEST: 2, FILES: 4, SERVICES: 6, ERROR: 7 } as const;

type Kind = 'file' | 'message' | 'enum' | 'service' | 'leaf';

/** What the fields of a descriptor describe (google/protobuf/descriptor.proto). Its own name is field 1, the package of a file field 2. */
const PARTS: Readonly<Record<Kind, Readonly<Record<number, Kind>>>> = {
  file: { 4: 'message', 5: 'enum', 6: 'service' },
  message: { 2: 'leaf', 3: 'message', 4: 'enum', 8: 'leaf' },
  enum: { 2: 'leaf' },
  service: { 2: 'leaf' },
  leaf: {},
};

/** What can be asked about. */
interface Described {
  /** By its name, and by the full name of everything that it has. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly symbols: ReadonlyMap<string, Buffer>;
  readonly services: readonly string[];
}

let described: Described | undefined;

/** The methods of both versions, over every service that the .proto files define. */
export function reflectionMethods(): ServedMethod[] {
  const asIs = (bytes: Buffer): Buffer => bytes;
  // A request is a name, which is echoed: bounded before it is read.
  const requestDeserialize = small(strict(asIs));
  return ['v1', 'v1alpha'].map((version) => {
    const method: Method<Buffer, Buffer> = {
      ...{ path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo` },
      ...{ requestStream: true, responseStream: true },
      ...{ requestSerialize: asIs, requestDeserialize, responseSerialize: asIs, responseDeserialize: asIs },
    };
    return streaming(method, receiverOf);
  });
}

function receiverOf(call: StreamCall<Buffer>): StreamReceiver<Buffer> {
  return {
    request: (question) => {
      call.write(answerTo(question));
      if (call.writable) return;
      call.pause();
      call.onWritable(() => call.resume());
    },
    end: () => call.end(),
  };
}

/** The ServerReflectionResponse to a ServerReflectionRequest. @throws WireError for what is none. */
export function answerTo(question: Buffer): Buffer {
  described ??= describe(fileDescriptors());
  const { files, symbols, services } = described;
  let host = '';
  let asked = 0;
  let what = '';
  const reader = new WireReader(question);
  while (reader.next()) {
    const { field } = reader;
    if (field === Ask.HOST) host = reader.text('host');
    else if (field === Ask.EXTENSION) {
      asked = field;
      what = nameIn(reader.view('file_containing_extension'));
    } else if (field >= Ask.FILE && field <= Ask.SERVICES) {
      asked = field;
      what = reader.text('message_request');
    } else reader.skip();
  }
  const begun = [part(Answer.HOST, host), part(Answer.REQUEST, question)];
  const found = asked === Ask.FILE ? files.get(what) : asked === Ask.SYMBOL ? symbols.get(what) : undefined;
  if (found !== undefined) return Buffer.concat([...begun, part(Answer.FILES, part(1, found))]);
  if (asked === Ask.SERVICES) {
    const list = services.map((name) => part(1, part(1, name)));
    return Buffer.concat([...begun, part(Answer.SERVICES, Buffer.concat(list))]);
  }
  return Buffer.concat([...begun, part(Answer.ERROR, problem(asked, what))]);
}

/** An ErrorResponse. */
function problem(asked: number, what: string): Buffer {
  const texts: Readonly<Record<number, string>> = {
    [Ask.FILE]: `Proto file not found: ${what}`,
    [Ask.SYMBOL]: `Symbol not found: ${what}`,
    [Ask.EXTENSION]: `Extension not found for symbol ${what}`,
    [Ask.EXTENSIONS]: `Extensions not found for symbol ${what}`,
  };
  const text = texts[asked];
  const code = text === undefined ? status.UNIMPLEMENTED : status.NOT_FOUND;
  return Buffer.concat([
    Buffer.from([(1 << 3) | WireType.VARINT, code]),
    part(2, text ?? 'Unimplemented method for request'),
  ]);
}

function describe(all: readonly Buffer[]): Described {
  const files = new Map<string, Buffer>();
  const symbols = new Map<string, Buffer>();
  const services: string[] = [];
  for (const file of all) {
    files.set(nameIn(file), file);
    for (const [name, kind] of symbolsIn(file, 'file', '')) {
      symbols.set(name, file);
      if (kind === 'service') services.push(name);
    }
  }
  return { files, symbols, services };
}

/** The full names of a descriptor and of everything in it, with what each is. */
function symbolsIn(descriptor: Buffer, kind: Kind, scope: string): (readonly [string, Kind])[] {
  const inner: (readonly [Buffer, Kind])[] = [];
  const reader = new WireReader(descriptor);
  let own = '';
  while (reader.next()) {
    const of = PARTS[kind][reader.field];
    if (of !== undefined) inner.push([reader.view('a descriptor'), of]);
    else if (reader.field === (kind === 'file' ? 2 : 1)) own = reader.text('name');
    else reader.skip();
  }
  const name = scope === '' ? own : `${scope}.${own}`;
  const parts = inner.flatMap(([bytes, of]) => symbolsIn(bytes, of, name));
  return kind === 'file' ? parts : [[name, kind], ...parts];
}

/** Field 1 of a message, a text. */
function nameIn(message: Buffer): string {
  const reader = new WireReader(message);
  let name = '';
  while (reader.next()) {
    if (reader.field === 1) name = reader.text('name');
    else reader.skip();
  }
  return name;
}

/** A field whose content has a length. */
function part(field: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const head = [(field << 3) | WireType.LENGTH];
  let left = bytes.length;
  for (; left > 127; left = Math.floor(left / 128)) head.push(128 + (left % 128));
  return Buffer.concat([Buffer.from([...head, left]), bytes]);
}
