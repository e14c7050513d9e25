/** The keys of the configuration file as text, made from the schema: `--help` and the README table. */
import * as z from 'zod/mini'
import { tables } from './schema.js'

export type KeyReference = {
  readonly table: string
  readonly key: string
  /** TOML of the default, or undefined when the key has none. */
  readonly standard: string | undefined
  readonly required: boolean
  readonly description: string
}

/** Every key in the order of the schema. */
export function configurationKeys(): KeyReference[] {
  return Object.entries(tables).flatMap(([table, schema]) => {
    const { properties = {}, required = [] } = z.toJSONSchema(schema, {
      io: 'input',
      unrepresentable: 'any',
    })
    return Object.entries(properties).flatMap(([key, property]): KeyReference[] => {
      if (typeof property === 'boolean') return []
      const standard = property.default === undefined ? undefined : JSON.stringify(property.default)
      const { description = '' } = property
      return [{ table, key, standard, required: required.includes(key), description }]
    })
  })
}

function defaultOf({ standard, required }: KeyReference): string {
  return standard ?? (required ? 'required' : 'none')
}

/** Indented lines under the heading of each table. */
export function configurationHelp(): string {
  const keys = configurationKeys()
  return Object.keys(tables)
    .map((table) => {
      const lines = keys
        .filter((key) => key.table === table)
        .map((key) => `  ${key.key} (${defaultOf(key)}): ${key.description}`)
      return [table, ...lines].join('\n')
    })
    .join('\n')
}

/** The table of the README. */
export function configurationMarkdown(): string {
  const rows = configurationKeys().map(
    (key) => `| \`${key.table}\` | \`${key.key}\` | \`${defaultOf(key)}\` | ${key.description} |`,
  )
  return ['| Table | Key | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n')
}
