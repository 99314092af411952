/**
 * gRPC server reflection as a client asks it (grpc/reflection/v1/reflection.proto; v1alpha has the same messages), and as much of a
 * FileDescriptorProto (google/protobuf/descriptor.proto) as says which methods a service has and which of them are streams. The reader
 * expects lies and noise: what cannot be is left out, and nothing here throws.
 */

import { MAX_LISTED, type MethodList } from './method-list.js';
import { type Field, fieldsOf, MessageWriter } from './protobuf.js';

/** Both versions, the newer one first. */
export const REFLECTION_METHODS = ['v1', 'v1alpha'].map(
  (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
);

/** Names as protobuf allows them. */
const SERVICE = /^\w+(?:\.\w+)*$/;
const METHOD = /^\w+$/;
/** Services of one server that are asked about. */
const MAX_SERVICES = 32;
/** Fields of one answer that are looked at: a message of 1 MiB could have half a million. */
const MAX_FIELDS = 20_000;

/** A ServerReflectionRequest for the names of all services. */
export function servicesQuestion(): Buffer {
  return new MessageWriter().text(7, '*').finish();
}

/** A ServerReflectionRequest for the file that defines a service. */
export function fileQuestion(service: string): Buffer {
  return new MessageWriter().text(4, service).finish();
}

/**
 * The names of services in a ServerReflectionResponse, those of gRPC itself left out. Undefined: it is no such response, or an
 * error_response.
 */
export function readServices(bytes: Buffer): readonly string[] | undefined {
  return quietly((each) => {
    const list = partOf(each(bytes), 6);
    if (list === undefined) return undefined;
    const names: string[] = [];
    for (const service of partsOf(each(list), 1)) {
      const name = textOf(each(service), 1);
      if (!name.startsWith('grpc.') && SERVICE.test(name) && names.length < MAX_SERVICES) names.push(name);
    }
    return names;
  });
}

/**
 * The methods of a service in a ServerReflectionResponse with its file. Undefined: it is no such response, an error_response, or the
 * service is in none of its files.
 */
export function readMethods(bytes: Buffer, service: string): MethodList | undefined {
  return quietly((each) => {
    const files = partOf(each(bytes), 4);
    if (files === undefined) return undefined;
    for (const file of partsOf(each(files), 1)) {
      const inPackage = textOf(each(file), 2);
      for (const descriptor of partsOf(each(file), 6)) {
        const name = textOf(each(descriptor), 1);
        if ((inPackage === '' ? name : `${inPackage}.${name}`) === service)
          return methodsOf(partsOf(each(descriptor), 2), service, each);
      }
    }
    return undefined;
  });
}

/** Of MethodDescriptorProtos: name is field 1, client_streaming 5, server_streaming 6. */
function methodsOf(descriptors: Iterable<Buffer>, service: string, each: Fields): MethodList {
  const unary: string[] = [];
  const streaming: string[] = [];
  for (const descriptor of descriptors) {
    let name = '';
    let isStream = false;
    for (const field of each(descriptor)) {
      if (field.number === 1 && field.type === 'bytes') name = field.value.toString('utf8');
      if ((field.number === 5 || field.number === 6) && field.type === 'varint')
        isStream ||= field.value !== 0n;
    }
    if (METHOD.test(name) && unary.length + streaming.length < MAX_LISTED)
      (isStream ? streaming : unary).push(`/${service}/${name}`);
  }
  return { unary, streaming };
}

type Fields = (bytes: Buffer) => Iterable<Field>;

/** @param read gets a reader of fields that throws once there are too many of them, as it does for what is no message. */
function quietly<T>(read: (each: Fields) => T | undefined): T | undefined {
  let left = MAX_FIELDS;
  const each = function* (bytes: Buffer): Generator<Field> {
    for (const field of fieldsOf(bytes)) {
      left--;
      if (left < 0) throw new RangeError('too many fields');
      yield field;
    }
  };
  try {
    return read(each);
  } catch {
    return undefined;
  }
}

function* partsOf(fields: Iterable<Field>, number: number): Generator<Buffer> {
  for (const field of fields) if (field.number === number && field.type === 'bytes') yield field.value;
}

function partOf(fields: Iterable<Field>, number: number): Buffer | undefined {
  for (const part of partsOf(fields, number)) return part;
  return undefined;
}

function textOf(fields: Iterable<Field>, number: number): string {
  return partOf(fields, number)?.toString('utf8') ?? '';
}
