/**
 * The part of the protobuf encoding that the mesh's messages need: varints and length-delimited fields (https://protobuf.dev/programming-guides/encoding/).
 *
 * Invariants: `readFields` is total, takes time linear in the input and recurses nowhere; whatever is not
 * well-formed makes it give false. Groups, which proto3 lacks, are not well-formed. A field that is not
 * known is passed over.
 */

/** 64-bit fields are numbers here, so nothing above 2^53 - 1 is accepted. */
const longestVarint = 8

const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

/** One field as it stands on the wire. */
export type Field =
  | { readonly number: number; readonly type: 'varint'; readonly value: number }
  | { readonly number: number; readonly type: 'bytes'; readonly bytes: Uint8Array }

class Cursor {
  readonly bytes: Uint8Array
  position = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get done(): boolean {
    return this.position === this.bytes.length
  }

  /** A varint that a number can hold, or -1. */
  varint(): number {
    let value = 0
    for (let index = 0; index < longestVarint; index += 1) {
      const byte = this.bytes[this.position]
      if (byte === undefined) return -1
      this.position += 1
      value += (byte & 127) * 2 ** (7 * index)
      if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : -1
    }
    return -1
  }

  /** The next bytes as a view of the input, or undefined when there are fewer. */
  take(length: number): Uint8Array | undefined {
    const end = this.position + length
    if (length < 0 || end > this.bytes.length) return undefined
    const taken = this.bytes.subarray(this.position, end)
    this.position = end
    return taken
  }
}

function readField(cursor: Cursor): Field | 'unused' | undefined {
  const key = cursor.varint()
  const number = Math.floor(key / 8)
  if (key < 0 || number < 1 || number > 0x1fff_ffff) return undefined
  switch (key % 8) {
    case 0: {
      const value = cursor.varint()
      return value < 0 ? undefined : { number, type: 'varint', value }
    }
    case 1:
      return cursor.take(8) && 'unused'
    case 2: {
      const bytes = cursor.take(cursor.varint())
      return bytes && { number, type: 'bytes', bytes }
    }
    case 5:
      return cursor.take(4) && 'unused'
    default:
      return undefined
  }
}

/** Shows each field to `visit`; false when the bytes are malformed or `visit` refuses a field. */
export function readFields(bytes: Uint8Array, visit: (field: Field) => boolean): boolean {
  const cursor = new Cursor(bytes)
  while (!cursor.done) {
    const field = readField(cursor)
    if (field === undefined) return false
    if (field !== 'unused' && !visit(field)) return false
  }
  return true
}

/** UTF-8 text, or undefined when the bytes are none. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Builds one message; fields with the default value are left out, as proto3 does. */
export class Writer {
  #bytes = new Uint8Array(64)
  #length = 0

  uint(number: number, value: number): this {
    if (value === 0) return this
    this.#varint(number * 8)
    this.#varint(value)
    return this
  }

  bool(number: number, value: boolean): this {
    return this.uint(number, value ? 1 : 0)
  }

  /** Written even when empty: an element of a repeated field counts. */
  bytes(number: number, value: Uint8Array): this {
    this.#varint(number * 8 + 2)
    this.#varint(value.length)
    this.#reserve(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
    return this
  }

  text(number: number, value: string): this {
    return value === '' ? this : this.bytes(number, encoder.encode(value))
  }

  message(number: number, value: Writer): this {
    return this.bytes(number, value.finish())
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #varint(value: number): void {
    this.#reserve(longestVarint)
    let rest = value
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#length++] = rest
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const longer = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
    longer.set(this.#bytes)
    this.#bytes = longer
  }
}
