/** Lint: type-checked rules everywhere, and the import order of the source tree. */
import eslint from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** From the outermost layer inwards: a file may import its own layer and those after it. */
const layers = [
  ['cli'],
  ['api'],
  ['node'],
  ['peers', 'paths', 'gossip', 'anchors', 'nat', 'lan', 'lkg', 'tun'],
  ['wire'],
  ['config'],
]

/**
 * Forbids, for each layer, the import of any layer outside it.
 * @type {import('eslint').Linter.Config[]}
 */
const layering = layers.flatMap((names, depth) => {
  const outer = layers.slice(0, depth).flat()
  if (outer.length === 0) return []
  return names.map((name) => ({
    files: [`src/${name}/**`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${outer.join('|')})/`,
              message: `src/${name} may not import outer layers (${outer.join(', ')})`,
            },
          ],
        },
      ],
    },
  }))
})

export default defineConfig(
  globalIgnores(['dist', 'build', 'native', 'coverage', '.tap']),
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 50, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-definitions': 'off',
    },
  },
  {
    // A test file is a list of tests inside one function now and then.
    files: ['bed/**', 'test/**', 'bench/**'],
    rules: {
      'max-lines-per-function': 'off',
      // tap waits for every subtest itself; other promises must be awaited here too.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafePromises: [
            { from: 'package', name: 'PromiseWithSubtest', package: '@tapjs/core' },
          ],
        },
      ],
    },
  },
  {
    // The type checker knows what is global in Node.
    files: ['scripts/*.js'],
    rules: { 'no-undef': 'off' },
  },
  {
    // Only native.ts may load the addon; everything else takes it as a parameter.
    files: ['src/**'],
    ignores: ['src/native.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportDeclaration[source.value=/native\\/addon|\\.node$/]',
          message: 'only src/native.ts imports the addon',
        },
      ],
    },
  },
  layering,
)
