/** Numbers and tables for people. What is unmeasured shows as a dash. */

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function bytes(count: number): string {
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), byteUnits.length - 1)
  return `${(count / 2 ** (10 * power)).toFixed(power === 0 ? 0 : 2)} ${byteUnits[power] ?? 'B'}`
}

export function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000)
  const parts: [number, string][] = [
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const shown = parts.filter(([value]) => value > 0).slice(0, 2)
  return shown.length === 0 ? '0 s' : shown.map(([value, unit]) => `${value} ${unit}`).join(' ')
}

export function measured(value: number | null, unit: string, digits = 1): string {
  return value === null ? '-' : `${value.toFixed(digits)}${unit === '' ? '' : ` ${unit}`}`
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** A bar of `width` columns that is full at `most`, to an eighth of a column. */
export function bar(value: number, most: number, width: number): string {
  const share = most > 0 ? Math.min(Math.max(value / most, 0), 1) : 0
  const filled = Math.round(share * width * 8)
  return ('█'.repeat(filled >> 3) + (eighths[filled & 7] ?? '')).padEnd(width)
}

/** Columns as wide as their longest cell, two spaces apart. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
