import js from '@eslint/js'
import tseslint from 'typescript-eslint'

/** `electron` may be imported in the desktop shell only: everything else must run where no Electron is. */
const noElectron = { name: 'electron', message: 'Only main/desktop may import electron.' }
/** shared/ runs anywhere: no Node, no DOM, nothing of main/ or renderer/. */
const sharedBorder = {
  paths: [noElectron],
  patterns: [
    {
      group: ['node:*', '**/main/**', '**/renderer/**'],
      message: 'shared/ runs anywhere; it imports neither Node nor main/.',
    },
  ],
}

export default tseslint.config(
  { ignores: ['node_modules', '.tsc', 'coverage', 'out', 'test-results'] },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [...tseslint.configs.recommendedTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['./shared/tsconfig.json', './main/tsconfig.json', './e2e/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-definitions': ['error', 'interface'],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/only-throw-error': 'error',
      'no-console': 'error',
      'no-restricted-imports': ['error', { paths: [noElectron] }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    files: ['shared/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: { 'no-restricted-imports': ['error', sharedBorder] },
  },
  { files: ['main/desktop/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['main/engine/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [noElectron],
          patterns: [
            {
              group: ['**/appliance/**', '**/palette/**', '**/ssh/**', '**/phases/**', '**/lab/**'],
              message: 'The engine knows no protocol.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
)
