/** TOML text to a value and the line of every key in it. */
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser'
import { ParseError } from 'toml-eslint-parser'
import type { AST } from 'toml-eslint-parser'

export type KeyPath = readonly PropertyKey[]

export type Toml = {
  readonly value: unknown
  /** The line of the key, or of the nearest table above it, counted from 1. */
  readonly lineOf: (path: KeyPath) => number
}

const separator = '\u0000'
const nameOf = (path: KeyPath): string => path.map(String).join(separator)
const keysOf = (key: AST.TOMLKey): string[] =>
  key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value))

function recordValue(lines: Map<string, number>, path: KeyPath, node: AST.TOMLContentNode): void {
  if (node.type === 'TOMLArray') {
    node.elements.forEach((element, index) => {
      lines.set(nameOf([...path, index]), element.loc.start.line)
      recordValue(lines, [...path, index], element)
    })
  } else if (node.type === 'TOMLInlineTable') {
    for (const entry of node.body) recordEntry(lines, path, entry)
  }
}

function recordEntry(lines: Map<string, number>, table: KeyPath, entry: AST.TOMLKeyValue): void {
  const path = [...table, ...keysOf(entry.key)]
  lines.set(nameOf(path), entry.loc.start.line)
  recordValue(lines, path, entry.value)
}

/** A syntax error with its place; `line` counts from 1. */
export class TomlSyntaxError extends Error {
  readonly line: number
  constructor(message: string, line: number) {
    super(message)
    this.line = line
  }
}

/** @throws TomlSyntaxError */
export function readToml(text: string): Toml {
  let program: AST.TOMLProgram
  try {
    program = parseTOML(text)
  } catch (error) {
    if (error instanceof ParseError) throw new TomlSyntaxError(error.message, error.lineNumber)
    throw error
  }
  const lines = new Map<string, number>()
  for (const node of program.body[0].body) {
    if (node.type === 'TOMLKeyValue') recordEntry(lines, [], node)
    else {
      lines.set(nameOf(node.resolvedKey), node.loc.start.line)
      for (const entry of node.body) recordEntry(lines, node.resolvedKey, entry)
    }
  }
  return {
    value: getStaticTOMLValue(program),
    lineOf: (path) => {
      for (let length = path.length; length > 0; length -= 1) {
        const line = lines.get(nameOf(path.slice(0, length)))
        if (line !== undefined) return line
      }
      return 1
    },
  }
}
