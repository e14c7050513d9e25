/**
 * Puts `up` with all that it imports into one file, dist/up.cjs, which loads several times faster than
 * the hundreds of files it is made from (docs/decisions/0023). Modules inside are still evaluated when
 * first imported. koffi, lmdb and pino stay outside: they find their own parts beside themselves.
 */
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

await build({
  absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
  entryPoints: ['dist/cli/start.js'],
  outfile: 'dist/up.cjs',
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  external: ['koffi', 'lmdb', 'pino', 'pino-pretty'],
  // CommonJS has no import.meta; native.ts lies as deep below the root as the bundle does.
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href" },
  logLevel: 'warning',
})
