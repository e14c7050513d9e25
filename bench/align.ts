/** Tables as text. Pure. */

/** Columns as wide as their widest cell; figures to the right, names to the left. */
export function align(
  rows: readonly (readonly string[])[],
  side: 'left' | 'right' = 'right',
): string {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  )
  const pad = (cell: string, i: number): string =>
    side === 'left' || i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}
