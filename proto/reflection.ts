/**
 * The definitions as server reflection must give them, where the library that reads .proto files falls short of protoc:
 * it names the entry type of a map field `Properties`, and strict clients (grpcurl) refuse a file that does not call it
 * `PropertiesEntry`; and it leaves out json_name, so that clients write `model_name` where the JSON mapping has `modelName`.
 * Only reflection needs this: on the wire a field is its number, and names are nothing.
 */

import type { EnumTypeDefinition, MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader';

/** The parts of google.protobuf.DescriptorProto that have to do with names; the rest goes through as it is. */
interface MessageDescriptor {
  readonly nestedType?: readonly MessageDescriptor[];
  readonly field?: readonly FieldDescriptor[];
  readonly options?: { readonly mapEntry?: boolean };
  name?: string;
}
interface FieldDescriptor {
  readonly name: string;
  /** As the library writes it, an entry's is relative: its name alone. */
  typeName?: string;
  jsonName?: string;
}
/** The part of google.protobuf.FileDescriptorProto that has messages. */
interface FileDescriptor {
  readonly messageType?: readonly MessageDescriptor[];
}
/** How a google.protobuf.FileDescriptorProto is read and written. */
export type FileDescriptorCodec = Pick<MessageTypeDefinition<object, object>, 'serialize' | 'deserialize'>;

/** The same definitions, their files with the names that protoc gives. */
export function withProtocNames(
  definitions: PackageDefinition,
  codec: FileDescriptorCodec,
): PackageDefinition {
  const renamed = new Map<Buffer, Buffer>();
  const rename = (bytes: Buffer): Buffer => {
    const known = renamed.get(bytes);
    if (known !== undefined) return known;
    const file = codec.deserialize(bytes) as FileDescriptor;
    for (const message of file.messageType ?? []) nameAsProtoc(message);
    const result = codec.serialize(file);
    renamed.set(bytes, result);
    return result;
  };
  return Object.fromEntries(
    Object.entries(definitions).map(([name, definition]) => [
      name,
      isType(definition)
        ? { ...definition, fileDescriptorProtos: definition.fileDescriptorProtos.map(rename) }
        : definition,
    ]),
  );
}

type TypeDefinition = MessageTypeDefinition<object, object> | EnumTypeDefinition;

/** A service is a plain record of its methods; types carry the files they are from. */
function isType(definition: PackageDefinition[string]): definition is TypeDefinition {
  return Array.isArray(definition['fileDescriptorProtos' as keyof typeof definition]);
}

function nameAsProtoc(message: MessageDescriptor): void {
  for (const field of message.field ?? []) field.jsonName ??= jsonName(field.name);
  for (const nested of message.nestedType ?? []) {
    nameAsProtoc(nested);
    if (nested.options?.mapEntry !== true) continue;
    const field = message.field?.find(({ typeName }) => typeName === nested.name);
    if (field === undefined) continue;
    nested.name = entryName(field.name);
    field.typeName = nested.name;
  }
}

/** `model_name` → `modelName`: underscores go, and what follows one is a capital. */
function jsonName(field: string): string {
  return field.replace(/_+([^_]?)/g, (_, next: string) => next.toUpperCase());
}

/** `model_properties` → `ModelPropertiesEntry`. */
function entryName(field: string): string {
  const name = jsonName(field);
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}Entry`;
}
