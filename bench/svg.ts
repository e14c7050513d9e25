/**
 * The look of all charts: SVG with a card of its own, so that it reads on any page, light or dark. Pure.
 */

export const MARGIN = 24

const STYLE = `
.card{fill:#ffffff;stroke:#d0d7de}
text{font:12px ui-sans-serif,system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.title{font-size:17px;font-weight:600}
.head{font-size:13px;font-weight:600}
.soft{fill:#59636e}
.foot{font-size:10.5px;fill:#59636e}
.own{font-weight:600}
.axis{stroke:#d0d7de}
.whisker{stroke:#1f2328;stroke-opacity:.65;stroke-width:1.25;fill:none}
.line{fill:none;stroke-width:1.75;stroke:#8c959f}.line-own{stroke:#0969da}.mark{stroke:#cf222e;stroke-dasharray:4 3}
.bar{fill:#a5b1bf}.bar-own{fill:#0969da}.bar-ring{fill:#54a3f2}.bar-raw{fill:#dfe4ea}
@media (prefers-color-scheme:dark){
.card{fill:#0d1117;stroke:#30363d}
text{fill:#e6edf3}
.soft,.foot{fill:#9198a1}
.axis{stroke:#30363d}
.whisker{stroke:#e6edf3}
.line{stroke:#8b949e}.line-own{stroke:#2f81f7}.mark{stroke:#f85149}
.bar{fill:#57606a}.bar-own{fill:#2f81f7}.bar-ring{fill:#1a5fb4}.bar-raw{fill:#2b323a}
}`

/** A whole SVG document: a card with a title above `content`. */
export function card(
  title: string,
  width: number,
  height: number,
  content: readonly string[],
): string {
  const size = `width="${String(width)}" height="${String(height)}"`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${String(width)} ${String(height)}" role="img">`,
    `<title>${escape(title)}</title><style>${STYLE}</style>`,
    `<rect class="card" x=".5" y=".5" width="${String(width - 1)}" height="${String(height - 1)}" rx="8"/>`,
    text(MARGIN, MARGIN + 14, title, 'title'),
    ...content,
    '</svg>\n',
  ].join('\n')
}

export function text(
  x: number,
  y: number,
  content: string,
  kind: string,
  anchor: 'start' | 'end' = 'start',
): string {
  const attributes = `${kind === '' ? '' : ` class="${kind}"`}${anchor === 'start' ? '' : ' text-anchor="end"'}`
  return `<text x="${String(x)}" y="${String(y)}"${attributes}>${escape(content)}</text>`
}

export function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
